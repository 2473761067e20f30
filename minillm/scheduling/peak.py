"""Admission by what memory will be needed later: LightLLM's past-future, and its two baselines."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import TYPE_CHECKING

from minillm.kv_cache import KVCache, PrefixHit
from minillm.request import FinishReason, Request
from minillm.scheduling.admission import Admission
from minillm.scheduling.books import Books, Estimate
from minillm.scheduling.prediction import Predictor

if TYPE_CHECKING:
    from minillm.scheduling.plan import Budget


def predicted_peak(entries: Iterable[tuple[int, int]]) -> int:
    """The most tokens held at any moment ahead, if nobody else is admitted.

    An entry is (tokens held now, tokens still to come). Everyone grows by one a step and leaves
    when nothing is left to come; so the peak is at the moment before somebody leaves. When the
    i-th longest leaves, those up to i are there, each grown by what the i-th had left.
    """
    peak = held = 0
    ordered = sorted(entries, key=lambda entry: entry[1], reverse=True)
    for count, (has_run, left) in enumerate(ordered, 1):
        held += has_run
        peak = max(peak, left * count + held)
    return peak


class _Predicted(Admission):
    """Memory is taken on demand, and one is admitted when `need` stays below `capacity`, both in
    tokens. Who would be alone is always admitted: the door has seen that it fits."""

    def slots_to_hold(self, request: Request, num_tokens: int) -> int:
        return request.num_tokens

    def need(self, everyone: Sequence[Request], block_size: int) -> int:
        """Tokens of memory that `everyone` will need together, of blocks of `block_size`."""
        raise NotImplementedError

    def capacity(self, num_slots: int) -> int:
        """The largest `need` accepted on a pool of `num_slots` tokens."""
        raise NotImplementedError

    def room(
        self,
        request: Request,
        slots: int,
        hit: PrefixHit,
        live: Sequence[Request],
        kv_cache: KVCache,
    ) -> tuple[int, int]:
        needs, free = super().room(request, slots, hit, live, kv_cache)
        if not live or needs > free:
            return needs, free
        block_size = kv_cache.block_size
        num_blocks = kv_cache.num_blocks
        limit = self.capacity(num_blocks * block_size) // block_size
        peak = -(-self.need([*live, request], block_size) // block_size)
        if peak <= limit:
            return needs, free
        held = num_blocks - kv_cache.num_free_blocks
        return max(1, peak - held), max(0, min(limit, peak - 1) - held)


@dataclass(frozen=True)
class Conservative(_Predicted):
    """Everyone may write its max_tokens: Σ(prompt + max_tokens) must fit. Nobody is ever evicted,
    and most of the memory is never used."""

    def need(self, everyone: Sequence[Request], block_size: int) -> int:
        return sum(-(-r.max_total_tokens // block_size) * block_size for r in everyone)

    def capacity(self, num_slots: int) -> int:
        return num_slots


@dataclass(frozen=True)
class Aggressive(_Predicted):
    """Nobody writes another token: what is held now and the prompt must fit `share` of memory.
    Memory is full, and then the last are evicted, again and again."""

    share: float = 0.99

    def need(self, everyone: Sequence[Request], block_size: int) -> int:
        return sum(request.num_tokens for request in everyone)

    def capacity(self, num_slots: int) -> int:
        return int(self.share * num_slots)


class PredictedPeak(_Predicted):
    """The peak that follows from predicted lengths must stay under 1 − `reserve` of memory. With an
    oracle and no reserve nobody is evicted: the most that any such rule can do."""

    def __init__(self, predictor: Predictor, *, reserve: float = 0.0) -> None:
        self.predictor = predictor
        self.reserve = reserve

    def need(self, everyone: Sequence[Request], block_size: int) -> int:
        return predicted_peak((request.num_tokens, self._left(request)) for request in everyone)

    def capacity(self, num_slots: int) -> int:
        return int((1 - self.reserve) * num_slots)

    def _left(self, request: Request) -> int:
        return max(0, ceil(self.predictor.predict(request)) - request.num_output_tokens)


class PastFuture(_Predicted, Books):
    """LightLLM (ASPLOS'25): everyone will write as much as those who finished lately did.

    What one has left is drawn from the lengths of the last `window` finished answers, from those
    longer than what it has written already (max_tokens where there is none). The peak is computed
    for several such draws and the highest counts; it must stay under 1 − `reserve` of memory.
    """

    def __init__(self, *, window: int = 1000, reserve: float = 0.05) -> None:
        self.reserve = reserve
        self._history: deque[int] = deque(maxlen=window)
        self._sorted: list[int] | None = None  # the same, sorted; None: to be sorted again
        self._random = Random(0)

    def bind(self, estimate: Estimate, generator: Random, budget: Budget) -> None:
        self._random = generator

    def finished(self, request: Request) -> None:
        if request.finish_reason in (FinishReason.STOP, FinishReason.LENGTH):
            self._history.append(request.num_output_tokens)
            self._sorted = None

    def need(self, everyone: Sequence[Request], block_size: int) -> int:
        draws = min(5, 200 // len(everyone) + 1)
        return max(
            predicted_peak([(request.num_tokens, self._left(request)) for request in everyone])
            for _ in range(draws)
        )

    def capacity(self, num_slots: int) -> int:
        return int((1 - self.reserve) * num_slots)

    def _left(self, request: Request) -> int:
        """Tokens still to come, drawn from the past."""
        if self._sorted is None:
            self._sorted = sorted(self._history)
        written = request.num_output_tokens
        shorter = bisect_right(self._sorted, written)
        if shorter == len(self._sorted):
            return request.max_tokens - written
        length = self._sorted[self._random.randrange(shorter, len(self._sorted))]
        return min(length, request.max_tokens) - written
