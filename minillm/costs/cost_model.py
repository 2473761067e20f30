"""How long a step takes: the roofline, and what real machines achieve of it.

A pure roofline is 1.4 to 5 times too fast. A step here is the sum of

* the matrix products with weights: computing and reading overlap, but not wholly, so the two
  times c and m join as (c^p + m^p)^(1/p), which is their maximum only far from the ridge;
* attention, per sequence: the slower of computing scores and reading the cache, each with an
  efficiency of its own, because attention kernels achieve far less than matrix products;
* what is elementwise, and the fixed costs of starting a layer's kernels;
* with tensor parallelism two all-reduces per layer: latency, and bytes over the bus;
* a fixed cost per iteration (bookkeeping, sampling), and the logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, itemgetter
from typing import Any

from minillm.config import ConfigError, closest
from minillm.costs.hardware import GIB, Hardware, get_hardware
from minillm.costs.roofline import elementwise, linears, lm_head
from minillm.costs.shapes import ModelShape, get_model

DTYPE_BYTES = {"float16": 2, "bfloat16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Achieved:
    """What of the data sheet is achieved, and the costs it does not know. Times in seconds.

    `python -m minillm.costs.calibrate` computes all but the last from two published measurements.
    The first six come from Vidur's profile of the linear and elementwise operators of Llama-2-7B
    on A100, split over 1 to 8 devices (what is left, as root mean square of log ratios: 5.6 % and
    16 %); the attention's and the iteration's from DistServe's formulas for OPT-13B on A100
    (decode steps: 3.3 % is left; its prefill times, not fitted but for attention, come out within
    4.3 %). Nothing else was fitted; other devices and models are taken to achieve the same
    shares. `all_reduce_seconds` is the geometric middle of the floors measured, 16 to 70 µs.
    """

    compute: float = 0.757
    bandwidth: float = 0.869
    overlap: float = 1.41  # the p above
    linear_seconds: float = 23.5e-6  # per layer
    elementwise_bandwidth: float = 0.617
    elementwise_seconds: float = 18.2e-6  # per layer
    attention_compute: float = 0.186
    attention_bandwidth: float = 0.641
    iteration_seconds: float = 3.52e-3
    all_reduce_seconds: float = 33e-6


class _Remembered(dict[tuple[int, int], float]):
    """Seconds by (num_new_tokens, num_computed_tokens), kept for decodes, which come again and
    again; so there are never more than the context has tokens."""

    def __init__(self, seconds: Callable[[int, int], float]) -> None:
        super().__init__()
        self._seconds = seconds

    def __missing__(self, sequence: tuple[int, int]) -> float:
        seconds = self._seconds(*sequence)
        if sequence[0] == 1:
            self[sequence] = seconds
        return seconds


class RooflineCostModel:
    """The cost of steps of one model on `tensor_parallel` devices. Made by `cost_model`."""

    def __init__(
        self,
        shape: ModelShape,
        hardware: Hardware,
        tensor_parallel: int = 1,
        dtype: str = "float16",
        achieved: Achieved | None = None,
        kv_cache_dtype: str = "auto",
    ) -> None:
        if dtype not in DTYPE_BYTES:
            raise ConfigError(
                f"unknown dtype {dtype!r}.{closest(dtype, DTYPE_BYTES)} "
                f"Known: {', '.join(DTYPE_BYTES)}."
            )
        self.shape = shape
        self.hardware = hardware
        self.tensor_parallel = tensor_parallel
        self.dtype = dtype
        self.dtype_bytes = DTYPE_BYTES[dtype]
        self.kv_dtype_bytes = self.dtype_bytes if kv_cache_dtype == "auto" else 1
        self.achieved = achieved = achieved or Achieved()
        self.device_shape = shard = shape.shard(tensor_parallel)

        per_layer = shape.num_layers * shard.num_heads * (4 * shard.head_dim + 5)
        self._pair = per_layer / (hardware.flops * achieved.attention_compute)
        self._cached = shard.kv_bytes_per_token(self.kv_dtype_bytes) / (
            hardware.bandwidth * achieved.attention_bandwidth
        )
        self._window = shape.sliding_window or 1 << 62
        head = lm_head(shard, 1, self.dtype_bytes)
        self._sequence = head.ops / (hardware.flops * achieved.compute)
        self._iteration = achieved.iteration_seconds + head.bytes / (
            hardware.bandwidth * achieved.bandwidth
        )
        self._by_tokens: dict[int, float] = {}  # what depends on the number of tokens alone
        self._by_sequence = _Remembered(self._attention)

    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        """Seconds for one step. `batch`: (num_new_tokens, num_computed_tokens) per sequence."""
        tokens = sum(map(itemgetter(0), batch))
        attention = reduce(add, map(self._by_sequence.__getitem__, batch), 0.0)
        rest = self._by_tokens.get(tokens)
        if rest is None:
            rest = self._by_tokens[tokens] = self._iteration + self._layers(tokens)
        return rest + attention + len(batch) * self._sequence

    def transfer_seconds(self, num_bytes: float) -> float:
        """Seconds to move `num_bytes`, spread over the devices, to or from the host's memory."""
        devices = self.tensor_parallel * self.hardware.host_bandwidth
        return num_bytes / (devices * self.achieved.bandwidth)

    @property
    def kv_bytes_per_token(self) -> int:
        """Over all devices, bytes."""
        return self.device_shape.kv_bytes_per_token(self.kv_dtype_bytes) * self.tensor_parallel

    def num_blocks(self, block_size: int, gpu_memory_utilization: float = 0.9) -> int:
        """KV blocks that fit beside the weights. Activations are not counted; the share above
        `gpu_memory_utilization` is theirs. Raises ConfigError when not one fits."""
        memory = self.hardware.memory * gpu_memory_utilization * self.tensor_parallel
        weights = self.shape.weight_bytes(self.dtype_bytes)
        blocks = int((memory - weights) // (block_size * self.kv_bytes_per_token))
        if blocks < 1:
            raise ConfigError.of(
                "refusals.model_too_large",
                model=self.shape.name,
                weights=f"{weights / GIB:,.1f}",
                memory=f"{memory / GIB:,.1f}",
                devices=self.tensor_parallel,
                device=self.hardware.name,
                share=f"{gpu_memory_utilization:.0%}",
            )
        return blocks

    def _layers(self, tokens: int) -> float:
        """All but attention, of all layers, for `tokens` tokens in this step."""
        achieved, hardware = self.achieved, self.hardware
        products = linears(self.device_shape, tokens, self.dtype_bytes)
        compute = sum(o.ops for o in products) / (hardware.flops * achieved.compute)
        moved = sum(o.bytes for o in products) / (hardware.bandwidth * achieved.bandwidth)
        p = achieved.overlap
        layer = (compute**p + moved**p) ** (1 / p) + achieved.linear_seconds
        others = sum(o.bytes for o in elementwise(self.device_shape, tokens, self.dtype_bytes))
        layer += others / (hardware.bandwidth * achieved.elementwise_bandwidth)
        layer += achieved.elementwise_seconds
        return self.shape.num_layers * (layer + self._all_reduces(tokens))

    def _all_reduces(self, tokens: int) -> float:
        """Two per layer: after attention and after the MLP."""
        devices = self.tensor_parallel
        if devices == 1:
            return 0.0
        sent = tokens * self.shape.hidden_size * self.dtype_bytes * 2 * (devices - 1) / devices
        return 2 * (self.achieved.all_reduce_seconds + sent / self.hardware.bus_bandwidth)

    def _attention(self, new: int, computed: int) -> float:
        """Of one sequence, over all layers."""
        if computed + new > self._window:
            return self._windowed_attention(new, computed)
        compute = self._pair * new * (computed + 0.5 * (new + 1))
        read = self._cached * (computed + new)
        return compute if compute > read else read

    def _windowed_attention(self, new: int, computed: int) -> float:
        """Where some of the new tokens no longer see the first ones."""
        window = self._window
        growing = max(0, window - computed)  # new tokens that still see everything before them
        pairs = growing * (computed + 0.5 * (growing + 1)) + (new - growing) * window
        return max(self._pair * pairs, self._cached * min(computed + new, window + new - 1))


def cost_model(
    model: str | ModelShape | Mapping[str, Any] | Any,
    hardware: str | Hardware,
    tensor_parallel: int = 1,
    dtype: str = "float16",
    kv_cache_dtype: str = "auto",
) -> RooflineCostModel:
    """The cost model of `model` (see `get_model`) on `hardware` (see `get_hardware`), with a KV
    cache in `dtype`, or in fp8 (see `EngineConfig`). Raises ConfigError for names it does not know
    and for a split that cannot be."""
    shape, device = get_model(model), get_hardware(hardware)
    return RooflineCostModel(shape, device, tensor_parallel, dtype, kv_cache_dtype=kv_cache_dtype)
