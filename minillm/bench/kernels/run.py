"""What a contender gives: something to call, and how to read what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


class Unavailable(Exception):
    """This contender does not run here, or not on this batch."""


def as_it_is(out: torch.Tensor) -> torch.Tensor:
    return out


@dataclass(frozen=True, slots=True)
class Run:
    """`call` is what is measured; `rows` turns its result into [T, Hq, D], as `paged_attention`
    gives it. `kv_dtype`: of the caches that it reads, where they are not of the batch's."""

    call: Callable[[], torch.Tensor]
    rows: Callable[[torch.Tensor], torch.Tensor] = as_it_is
    kv_dtype: torch.dtype | None = None
