"""Memory admission: how many KV slots a request must be able to hold before it may start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from minillm.kv_cache import KVCache, PrefixHit
from minillm.request import Request


class Admission:
    """The base: admit when what is to be held now fits into what is free."""

    def slots_to_hold(self, request: Request, num_tokens: int) -> int:
        """KV slots (tokens) taken when `request` is admitted and its first `num_tokens` tokens
        are computed at once."""
        raise NotImplementedError

    def reserved(self, num_blocks: int) -> int:
        """Blocks of a pool of `num_blocks` that admission leaves free for those running."""
        return 0

    def room(
        self,
        request: Request,
        slots: int,
        hit: PrefixHit,
        live: Sequence[Request],
        kv_cache: KVCache,
    ) -> tuple[int, int]:
        """(blocks needed, blocks that may be used) for `request` to start with `slots` beside
        those `live`; it may when the first is not above the second."""
        free = kv_cache.num_free_blocks - self.reserved(kv_cache.num_blocks)
        return kv_cache.blocks_needed(request, slots, hit), free


@dataclass(frozen=True)
class OnDemand(Admission):
    """vLLM: take what the prompt needs now; blocks for the output are taken as it grows.
    A share of the pool, the watermark, is left to those who run, against immediate preemption."""

    watermark: float = 0.01

    def slots_to_hold(self, request: Request, num_tokens: int) -> int:
        return request.num_tokens

    def reserved(self, num_blocks: int) -> int:
        return math.ceil(self.watermark * num_blocks)


@dataclass(frozen=True)
class ByChunk(OnDemand):
    """FastGen: not even the prompt needs room at once, only the part computed in this step."""

    def slots_to_hold(self, request: Request, num_tokens: int) -> int:
        return num_tokens


@dataclass(frozen=True)
class ReserveMax(Admission):
    """Orca, FasterTransformer: hold prompt + max_tokens from the start, so that nothing can run
    out later. Most of it is never used."""

    def slots_to_hold(self, request: Request, num_tokens: int) -> int:
        return request.max_total_tokens
