"""Gated MLPs: gate and up projection in one product, SiLU and its product in one pass."""

from __future__ import annotations

import torch
from torch import nn

from minillm.execution.fused.product import Product, alone, side_by_side
from minillm.execution.fused.replacing import (
    for_torch,
    plain_linears,
    replace_modules,
    same,
    trial_rows,
)
from minillm.kernels.cpu_ops import gated_silu


class FusedMLP(nn.Module):
    """down(silu(gate(x)) · up(x)), [..., hidden] → [..., hidden]. `original` is what it stands
    for, and what `for_torch` leaves to torch."""

    def __init__(self, original: nn.Module, gate_up: Product, down: Product) -> None:
        super().__init__()
        self.original = original
        self._gate_up, self._down = gate_up, down

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if for_torch(rows.shape[0]):
            return self.original(x)
        return self._down(gated_silu(self._gate_up(rows))).view(x.shape)


def fuse_mlps(model: nn.Module, twice: bool) -> int:
    """Replace the fp32 CPU MLPs of `model` that are gated by SiLU; returns how many were. `twice`:
    weights may be kept in a second layout."""
    return replace_modules(model, FusedMLP, lambda module: _fused(module, twice))


@torch.no_grad()
def _fused(mlp: nn.Module, twice: bool) -> FusedMLP | None:
    linears = plain_linears(mlp, "gate_proj", "up_proj", "down_proj")
    if not linears:
        return None
    trial = trial_rows(linears[0].in_features)
    try:
        wanted = mlp(trial)
    except Exception:  # whatever else a foreign module needs to be called
        return None
    if not isinstance(wanted, torch.Tensor) or wanted.shape != trial.shape:
        return None
    gate_up = side_by_side(linears[:2], twice)
    fused = gate_up and FusedMLP(mlp, gate_up, alone(linears[2], twice))
    return fused if fused and same(fused(trial), wanted) else None
