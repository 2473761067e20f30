"""RMS norms on the CPU as one pass of C in place of six operators of torch.

A decode step of a small model is mostly the overhead of such operators. Which formula a model's
norm follows is not looked up by name: the C kernel takes its place only where both give the same on
random numbers. Without a compiler nothing changes.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import nn

from minillm.kernels.native import compiled_folder, load, source_of

SAME = 1e-6  # largest difference, of outputs that are about 1


@cache
def _kernel() -> Any:
    library = load(source_of("rms_norm.c"), {}, compiled_folder())
    if library is None:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.rms_norm.argtypes = (pointer, pointer, pointer, number, number, ctypes.c_float)
    library.rms_norm.restype = None
    return library.rms_norm


class FusedRMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight over the last dimension, fp32 on the CPU. `original` is
    what it stands for, and what a compiler sees."""

    def __init__(self, original: nn.Module, weight: torch.Tensor, eps: float) -> None:
        super().__init__()
        self.original = original
        self._kernel = _kernel()
        self._weight = weight.detach().contiguous()
        self._size, self._eps = len(weight), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling() or x.dtype != torch.float32:
            return self.original(x)
        x = x.contiguous()
        out = torch.empty_like(x)
        rows = x.numel() // self._size
        weight = self._weight.data_ptr()
        self._kernel(x.data_ptr(), weight, out.data_ptr(), rows, self._size, self._eps)
        return out


def fuse_norms(model: nn.Module) -> int:
    """Replace the fp32 CPU norms of `model` that are RMS norms; returns how many were."""
    if _kernel() is None:
        return 0
    count = 0
    parents = [module for module in model.modules() if not isinstance(module, FusedRMSNorm)]
    for parent in parents:
        for name, norm in list(parent.named_children()):
            fused = None if isinstance(norm, FusedRMSNorm) else _fused(norm)
            if fused is not None:
                setattr(parent, name, fused)
                count += 1
    return count


@torch.no_grad()
def _fused(norm: nn.Module) -> FusedRMSNorm | None:
    """What computes the same as `norm`: with its weight as it is, or with 1 + weight as Gemma's."""
    weight = getattr(norm, "weight", None)
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
    if not type(norm).__name__.endswith("RMSNorm") or not isinstance(eps, float):
        return None
    if weight is None or weight.dim() != 1 or list(norm.named_children()):
        return None
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return None
    generator = torch.Generator().manual_seed(0)
    trial = torch.randn(1, 3, len(weight), generator=generator)
    wanted = norm(trial)
    for candidate in (weight, 1 + weight):
        fused = FusedRMSNorm(norm, candidate, eps)
        if torch.allclose(fused(trial), wanted, rtol=SAME, atol=SAME):
            return fused
    return None
