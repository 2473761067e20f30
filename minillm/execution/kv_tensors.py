"""The KV cache itself: one pair of tensors per attention layer, and how many blocks fit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import psutil
import torch

from minillm.execution.loaded_model import LoadedModel
from minillm.execution.probe import run_probe
from minillm.kernels.fp8 import FP8, as_bytes
from minillm.moves import BlockMoves

CPU_SHARE = 0.25  # of the available RAM

# By layer: k_scale and v_scale, [num_kv_heads] fp32.
Scales = Mapping[int, tuple[torch.Tensor, torch.Tensor]]


class KVTensors:
    """Per-layer caches `[num_blocks, block_size, num_kv_heads, head_dim]`, K and V, keyed by layer.

    Layers may differ in heads and head size. Memory is not cleared: a slot holds garbage until
    it is written. With `num_cpu_blocks` there is the same once more in CPU memory, to swap to.
    With `scales` it is all stored as fp8; without, in the model's dtype.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        num_blocks: int,
        block_size: int,
        num_cpu_blocks: int = 0,
        scales: Scales | None = None,
    ) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.device = loaded.device
        self.scales = scales or {}
        dtype = FP8 if scales else loaded.dtype
        self.layers = _pool(loaded, num_blocks, block_size, dtype, device=loaded.device)
        self._swap: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        if num_cpu_blocks:
            self._swap = _pool(
                loaded, num_cpu_blocks, block_size, dtype, device=torch.device("cpu")
            )

    def move(self, moves: BlockMoves) -> float:
        """Carry out `moves` over all layers; returns the seconds that the swapping took."""
        if moves.num_swapped:
            self._wait()  # for what is under way: that is no swapping
        began = time.perf_counter()
        self._copy(self.layers, self._swap, moves.swap_out)
        self._wait()  # before anything overwrites what is being saved
        swapping = time.perf_counter() - began
        self._copy(self.layers, self.layers, moves.copies)
        began = time.perf_counter()
        self._copy(self._swap, self.layers, moves.swap_in)
        if moves.num_swapped:
            self._wait()
        return swapping + time.perf_counter() - began if moves.num_swapped else 0.0

    def _copy(
        self,
        source: dict[int, tuple[torch.Tensor, torch.Tensor]],
        target: dict[int, tuple[torch.Tensor, torch.Tensor]],
        pairs: Sequence[tuple[int, int]],
    ) -> None:
        if not pairs:
            return
        from_blocks, to_blocks = torch.tensor(pairs).unbind(1)
        for layer, tensors in source.items():
            for old, new in zip(tensors, target[layer], strict=True):
                content = as_bytes(old)[from_blocks.to(old.device)]
                as_bytes(new)[to_blocks.to(new.device)] = content.to(new.device)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _pool(
    loaded: LoadedModel,
    num_blocks: int,
    block_size: int,
    dtype: torch.dtype,
    device: torch.device,
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    def empty(heads: int, size: int) -> torch.Tensor:
        return torch.empty(num_blocks, block_size, heads, size, dtype=dtype, device=device)

    return {
        layer: (empty(shape.num_kv_heads, shape.k_dim), empty(shape.num_kv_heads, shape.v_dim))
        for layer, shape in loaded.layer_shapes.items()
    }


def kv_bytes_per_token(loaded: LoadedModel, kv_cache_dtype: str = "auto") -> int:
    """K and V of one token over all layers, bytes; the scales of fp8 take next to nothing."""
    size = FP8.itemsize if kv_cache_dtype == "fp8" else loaded.dtype.itemsize
    return loaded.kv_bytes_per_token // loaded.dtype.itemsize * size


def bytes_per_block(loaded: LoadedModel, block_size: int, kv_cache_dtype: str = "auto") -> int:
    """Bytes that one block takes over all layers."""
    return kv_bytes_per_token(loaded, kv_cache_dtype) * block_size


def blocks_that_fit(
    loaded: LoadedModel,
    block_size: int,
    *,
    gpu_memory_utilization: float = 0.9,
    max_num_batched_tokens: int = 2048,
    kv_cache_dtype: str = "auto",
) -> int:
    """Blocks that this machine's memory allows beside the weights; at least 0.

    CPU: a quarter of the available RAM. CUDA: `gpu_memory_utilization` of the device's total, less
    what is in use now and less the peak that a forward over `max_num_batched_tokens` adds.
    """
    if loaded.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(loaded.device)
        peak = _forward_peak(loaded, max_num_batched_tokens)
        room = total * gpu_memory_utilization - (total - free) - peak
    else:
        room = psutil.virtual_memory().available * CPU_SHARE
    return max(0, int(room // bytes_per_block(loaded, block_size, kv_cache_dtype)))


def _forward_peak(loaded: LoadedModel, num_tokens: int) -> int:
    """Bytes of activations at the peak of one forward over `num_tokens` tokens."""
    torch.cuda.synchronize(loaded.device)
    torch.cuda.reset_peak_memory_stats(loaded.device)
    before = torch.cuda.memory_allocated(loaded.device)
    run_probe(loaded.model, min(num_tokens, loaded.max_model_len), loaded.device)
    return torch.cuda.max_memory_allocated(loaded.device) - before
