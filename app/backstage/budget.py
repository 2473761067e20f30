"""What a model, a device, a batch and a length come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minillm.costs import RooflineCostModel
from minillm.costs.roofline import linears, operators

UTILISATION = 0.9  # of the memory; the rest is left to activations
_MOST = 1 << 20  # sequences


@dataclass(frozen=True)
class Budget:
    """Bytes are over all devices. `most` sequences of the length asked for fit beside the weights,
    or the batch asked for at up to `longest` tokens each; `saturating` is the least batch whose
    weight products in a decode step compute longer than they read."""

    memory: int
    weights: int
    cache: int
    most: int
    longest: int
    saturating: int

    @property
    def usable(self) -> int:
        return int(self.memory * UTILISATION)

    @property
    def fits(self) -> bool:
        return self.weights + self.cache <= self.usable


def budget(costs: RooflineCostModel, batch: int, length: int) -> Budget:
    memory = costs.hardware.memory * costs.tensor_parallel
    weights = costs.shape.weight_bytes(costs.dtype_bytes)
    slots = max(0, int(memory * UTILISATION - weights) // costs.kv_bytes_per_token)
    return Budget(
        memory=memory,
        weights=weights,
        cache=batch * length * costs.kv_bytes_per_token,
        most=slots // length,
        longest=slots // batch,
        saturating=saturating(costs),
    )


def saturating(costs: RooflineCostModel) -> int:
    """The least batch, up to 2^20, at which one token of each keeps the arithmetic as busy as the
    memory; in the products with weights, which all sequences share."""
    low, high = 1, _MOST
    while low < high:
        middle = (low + high) // 2
        products = linears(costs.device_shape, middle, costs.dtype_bytes)
        compute = sum(each.ops for each in products) / costs.hardware.flops
        read = sum(each.bytes for each in products) / costs.hardware.bandwidth
        low, high = (low, middle) if compute >= read else (middle + 1, high)
    return low


def rows(costs: RooflineCostModel, batch: int, length: int) -> list[dict[str, Any]]:
    """The operators of one layer on one device, fused and causal, for the chart."""
    return [
        {
            "stage": stage,
            "name": row.name,
            "ops": row.ops,
            "bytes": row.bytes,
            "seconds": row.seconds(costs.hardware),
        }
        for stage in ("prefill", "decode")
        for row in operators(costs.device_shape, stage, batch=batch, seq_len=length, fused=True)
    ]
