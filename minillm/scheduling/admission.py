"""Memory admission: how many KV slots a request must be able to hold before it may start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from minillm.request import Request


class Admission(Protocol):
    def slots_to_hold(self, request: Request) -> int:
        """KV slots (tokens) taken when `request` is admitted."""
        ...

    def reserved(self, num_blocks: int) -> int:
        """Blocks of a pool of `num_blocks` that admission leaves free for those running."""
        ...


@dataclass(frozen=True)
class OnDemand:
    """vLLM: take what the prompt needs now; blocks for the output are taken as it grows.
    A share of the pool, the watermark, is left to those who run, against immediate preemption."""

    watermark: float = 0.01

    def slots_to_hold(self, request: Request) -> int:
        return request.num_tokens

    def reserved(self, num_blocks: int) -> int:
        return math.ceil(self.watermark * num_blocks)


@dataclass(frozen=True)
class ReserveMax:
    """Orca, FasterTransformer: hold prompt + max_tokens from the start, so that nothing can run
    out later. Most of it is never used."""

    def slots_to_hold(self, request: Request) -> int:
        return request.max_total_tokens

    def reserved(self, num_blocks: int) -> int:
        return 0
