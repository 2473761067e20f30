"""RMS norms as one pass in place of six operators."""

from __future__ import annotations

import torch
from torch import nn

from minillm.execution.fused.replacing import replace_modules, trial_rows
from minillm.kernels.cpu_ops import add_rms_norm

SAME = 1e-6  # largest difference, of outputs that are about 1


class FusedRMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight over the last dimension, fp32 on the CPU. `original` is
    what it stands for, and what a compiler sees."""

    def __init__(self, original: nn.Module, weight: torch.Tensor, eps: float) -> None:
        super().__init__()
        self.original = original
        self.scale, self.eps = weight.detach().contiguous(), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling() or x.dtype != torch.float32:
            return self.original(x)
        return add_rms_norm(x.contiguous(), None, self.scale, self.eps)


def fuse_norms(model: nn.Module) -> int:
    """Replace the fp32 CPU norms of `model` that are RMS norms; returns how many were."""
    return replace_modules(model, FusedRMSNorm, _fused)


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
    trial = trial_rows(len(weight))
    wanted = norm(trial)
    for candidate in (weight, 1 + weight):
        fused = FusedRMSNorm(norm, candidate, eps)
        if torch.allclose(fused(trial), wanted, rtol=SAME, atol=SAME):
            return fused
    return None
