"""Planning a step for policies that rank everyone anew, those who run too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import merge
from typing import Any

from minillm.events import ALL_WAITING, BATCH, WaitReason
from minillm.kv_cache import KVCache, PrefixHit
from minillm.request import Request, Status
from minillm.scheduling.admission import Admission
from minillm.scheduling.plan import Budget, Plan
from minillm.scheduling.preemption import Preemption


class RankedPlan(Plan):
    """`running` is in order of `rank`. The places that `max_num_seqs` counts are those of this
    step's batch: more may be admitted, and the outranked pause and keep their blocks."""

    _place_holders = BATCH

    def __init__(
        self,
        running: Sequence[Request],
        kv_cache: KVCache,
        budget: Budget,
        admission: Admission,
        preemption: Preemption,
        chunked: bool,
        num_dead: int,
        rank: Callable[[Request], Any],
    ) -> None:
        ranked = sorted(running, key=rank)
        super().__init__(ranked, kv_cache, budget, admission, preemption, chunked, num_dead)
        self._rank = rank

    def serve_by_rank(self, waiting: Iterable[Request]) -> None:
        """Serve everyone, running or waiting, in the order of rank until the places of this step
        are taken. The outranked among the running pause and keep their blocks."""
        admitting = True
        for request in merge(self.running[:], waiting, key=self._rank):
            if request.status is not Status.RUNNING:
                admitting = admitting and self._admit_by_rank(request)
            elif request in self.schedule.preempted:
                continue
            elif len(self.schedule.rows) >= self.budget.max_num_seqs:
                self.wait(request.request_id, WaitReason.LOWER_PRIORITY, (BATCH,))
            elif request.in_decode:
                self.decode(request)
            else:
                self.continue_prefill(request)

    def swap_ahead(self, waiting: Iterable[Request]) -> None:
        """Keep as many blocks free as the batch has places, so that nobody of the next steps has
        to wait for a swap: of those who pause, the lowest in rank are swapped out. In a step where
        nobody is, the highest of those who wait and were swapped out come back, as far as these
        blocks stay free. Both happen beside the step's compute."""
        kv_cache, keep = self.kv_cache, self.budget.max_num_seqs
        before = kv_cache.moves.num_swapped
        in_batch = {row.request.request_id for row in self.schedule.rows}
        for request in [r for r in reversed(self.running) if r.request_id not in in_batch]:
            if kv_cache.num_free_blocks < keep and kv_cache.swap_out(request):
                self._send_back(request, by=request)
        if not kv_cache.moves.swap_out:
            for request in waiting:
                if request in self.schedule.admitted or not kv_cache.is_swapped_out(request):
                    continue
                slots, hit = request.num_computed_tokens, kv_cache.find_prefix(request)
                if kv_cache.blocks_needed(request, slots, hit) > kv_cache.num_free_blocks - keep:
                    break
                if not self._enter(request, slots, hit, cached=0):
                    break
        kv_cache.moves.early += kv_cache.moves.num_swapped - before

    def _places_taken(self) -> int:
        return len(self.schedule.rows)

    def _admit_by_rank(self, request: Request) -> bool:
        if self.schedule.preempted:
            first = min(self.schedule.preempted, key=self._rank)
            if self._rank(first) < self._rank(request):
                self.wait(ALL_WAITING, WaitReason.HEAD_OF_LINE, (first.request_id,))
                return False
        return self.admit(request)

    def _make_room(self, request: Request, slots: int, hit: PrefixHit) -> tuple[int, int]:
        """Preempt whom `request` outranks, lowest first, unless all of them hold too little."""
        rank = self._rank(request)
        lower = [other for other in self.running if self._rank(other) > rank]
        needs, free = self._room(request, slots, hit)
        if needs <= free + sum(len(self.kv_cache.block_table(other)) for other in lower):
            while needs > free and lower:
                self.preempt(lower.pop(), by=request)
                needs, free = self._room(request, slots, hit)
        return needs, free
