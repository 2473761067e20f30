"""Weights of linear layers laid out as the CPU's matrix product wants to read them.

PyTorch keeps a weight as [out, in]. MKL then repacks it in every call, which a prompt's many rows
repay and a decode step's few do not. Two other layouts, in fp32, once at load:

* Stored as [in, out], and still seen as [out, in] through its strides, so that the module stays the
  one that the model's code knows. No memory is added. One thread of a Xeon, GFLOPS before → after:
  512 → 512 features, 8 rows 62 → 102, 32 rows 110 → 151; 512 → 1376, 8 rows 43 → 88, 32 rows
  111 → 156; from 256 rows on as fast as before. Rows that lie a multiple of 4 KiB apart would
  share cache sets (1024 → 1024, 128 rows: 98 in place of 143), so these get a little padding.
* A layer too wide for that, as an output layer is, in oneDNN's own blocked layout: 512 → 8192,
  8 rows 20 → 46, 32 rows 68 → 101. Not where an input embedding shares the weight, which is read
  by row.

A decode step of 32 rows of a 31.6 M-parameter Llama spends a quarter less time in linear layers; on
a machine whose memory others use too it gains less.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn

WIDE = 4096  # output features, from which on the second layout is the faster one
PAGE = 4096  # bytes
PADDING = 16  # columns: one cache line
TYPICAL_ROWS = 32  # what oneDNN chooses its layout for; it serves any number


class PackedLinear(nn.Module):
    """`nn.Linear` in oneDNN's layout: [..., in] → [..., out], fp32 on the CPU."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        weight = linear.weight.detach()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")


def lay_out_linears(model: nn.Module) -> None:
    """Give the fp32 CPU weights of `model`'s linear layers the faster layout, in place. Leaves
    alone what is shared between modules, other types and devices, and a torch without MKL."""
    if not torch.backends.mkl.is_available():
        return
    users = Counter(
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
    )
    for parent in list(model.modules()):
        for name, linear in list(parent.named_children()):
            if type(linear) is not nn.Linear or not _fits(linear.weight, users):
                continue
            if linear.out_features < WIDE:
                linear.weight.data = by_input(linear.weight.data)
            elif torch.backends.mkldnn.is_available():
                setattr(parent, name, PackedLinear(linear))


def _fits(weight: Any, users: Counter[int]) -> bool:
    plain = type(weight.data) is torch.Tensor and weight.device.type == "cpu"
    return plain and weight.dtype == torch.float32 and users[id(weight)] == 1


def by_input(weight: torch.Tensor) -> torch.Tensor:
    """The same [out, in], an input feature's weights next to each other in memory."""
    outputs, inputs = weight.shape
    aligned = outputs * weight.element_size() % PAGE == 0
    storage = weight.new_empty(inputs, outputs + (PADDING if aligned else 0))
    return storage[:, :outputs].copy_(weight.t()).t()
