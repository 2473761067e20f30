"""Putting modules in the place of others that compute the same."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

SAME = 1e-5  # largest difference, as a share of the row's largest number
SIZES = (1e-3, 1.0, 1e3)  # of trial rows: where one epsilon differs from another, and what clips
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
    """Equal but for rounding, row by row."""
    if a.shape != b.shape:
        return False
    return bool(((a - b).abs().amax(-1) <= SAME * b.abs().amax(-1)).all())


def random_numbers(*shape: int) -> torch.Tensor:
    """fp32 whatever torch's default is, and the same for the same shape."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def trial_rows(width: int) -> torch.Tensor:
    """Rows of small, ordinary and large random numbers, [1, len(SIZES), width]."""
    return random_numbers(1, len(SIZES), width) * torch.tensor(SIZES, dtype=torch.float32)[:, None]


def for_torch(tokens: int) -> bool:
    """Whether a fused module leaves so many tokens to the one that it stands for: a compiler makes
    its own of that, and torch shares out a long prompt among its threads, if it has several."""
    return torch.compiler.is_compiling() or (tokens >= MANY and torch.get_num_threads() > 1)
