"""Linear layers as plain matrix products, each over the layout that is best for its rows.

A weight stored as `linear_layout.py` says serves any number of rows. For a small batch of decodes
oneDNN's blocked layout is faster. Time of all linear layers of a 31.6 M-parameter Llama but the
last, stored by input → blocked, one thread of a Xeon: 1 row 6.8 → 8.0 ms, 4 rows 11.6 → 8.8,
8 rows 13.5 → 9.7, 16 rows 16.3 → 12.7, 32 rows 18.0 → 17.7, 64 rows 22.2 → 25.4. So a model small
enough for it has its weights twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from minillm.execution.linear_layout import TYPICAL_ROWS, WIDE, by_input

BLOCKED_ROWS = range(2, 33)  # for which the blocked layout is the faster one
LEAST = 1 << 18  # weights: oneDNN takes tens of microseconds to begin, more than a small layer does


class Product:
    """x · weightᵀ + bias without the way through `nn.Module` and views: [T, in] → [T, out]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, twice: bool) -> None:
        """weight: [out, in], used as it lies in memory. `twice`: also keep it blocked."""
        self._turned, self._bias = weight.detach().t(), bias
        self._blocked = None
        if twice and weight.numel() >= LEAST:
            reorder = torch.ops.mkldnn._reorder_linear_weight
            self._blocked = reorder(weight.detach().contiguous(), TYPICAL_ROWS)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self._blocked is not None and len(x) in BLOCKED_ROWS:
            return torch.ops.mkldnn._linear_pointwise(x, self._blocked, self._bias, "none", [], "")
        if self._bias is None:
            return torch.mm(x, self._turned)
        return torch.addmm(self._bias, x, self._turned)


def alone(linear: nn.Linear, twice: bool) -> Product:
    """One layer as it is."""
    return Product(linear.weight, linear.bias, twice)


def side_by_side(linears: Sequence[nn.Linear], twice: bool) -> Product | None:
    """Several layers of the same input as one product, their outputs next to each other. Their
    weights become views of the joint one. None where it would be too wide for its layout, or the
    inputs differ, or only some have a bias."""
    biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
    widths = [linear.out_features for linear in linears]
    if sum(widths) >= WIDE or len(biases) not in (0, len(linears)):
        return None
    if len({linear.in_features for linear in linears}) > 1:
        return None
    joint = by_input(torch.cat([linear.weight.data for linear in linears]))
    for linear, part in zip(linears, joint.split(widths), strict=True):
        linear.weight.data = part
    return Product(joint, torch.cat(biases) if biases else None, twice)
