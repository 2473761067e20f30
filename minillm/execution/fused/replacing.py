"""Putting modules in the place of others that compute the same."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

SAME = 1e-5  # largest difference, as a share of the largest number
MANY = 128  # tokens, from which on several threads of torch beat one of ours


def replace_modules(
    model: nn.Module, kind: type[nn.Module], fused: Callable[[nn.Module], nn.Module | None]
) -> int:
    """Put `fused(module)`, where there is one, in the place of each module below `model`; what is
    of `kind`, and below it, is left alone. Returns how many were replaced."""
    count = 0
    for name, child in list(model.named_children()):
        if isinstance(child, kind):
            continue
        new = fused(child)
        if new is None:
            count += replace_modules(child, kind, fused)
        else:
            setattr(model, name, new)
            count += 1
    return count


def plain_linears(module: nn.Module, *names: str) -> list[nn.Linear]:
    """The children of these names, if all are linear layers in fp32 on the CPU; else none."""
    found = [getattr(module, name, None) for name in names]
    linears = [each for each in found if type(each) is nn.Linear]
    plain = all(
        type(each.weight.data) is torch.Tensor
        and each.weight.dtype == torch.float32
        and each.weight.device.type == "cpu"
        for each in linears
    )
    return linears if plain and len(linears) == len(names) else []


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal but for rounding."""
    return a.shape == b.shape and bool((a - b).abs().max() <= SAME * b.abs().max())


def random_numbers(*shape: int) -> torch.Tensor:
    """The same for the same shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def for_torch(tokens: int) -> bool:
    """Whether a fused module leaves so many tokens to the one that it stands for: a compiler makes
    its own of that, and torch shares out a long prompt among its threads, if it has several."""
    return torch.compiler.is_compiling() or (tokens >= MANY and torch.get_num_threads() > 1)
