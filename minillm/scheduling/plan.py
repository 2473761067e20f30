"""One step being planned: the primitives every policy is written with.

A policy decides *whom to ask for* and in which order; a `Plan` answers with what there is: it
takes KV blocks, spends the token budget, preempts when memory is short, and writes down a
`Wait` with the first missing resource whenever something cannot be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import merge
from typing import Any

from minillm.arrivals import arrival_order
from minillm.events import (
    ALL_RUNNING,
    ALL_WAITING,
    BATCH,
    Admitted,
    Preempted,
    Wait,
    WaitReason,
)
from minillm.execution.batch import Row
from minillm.kv_cache import KVCache, PrefixHit
from minillm.request import Request, Status
from minillm.scheduling.admission import Admission
from minillm.scheduling.preemption import Preemption


@dataclass(frozen=True, slots=True)
class Budget:
    """What one step may use: tokens computed, and sequences admitted at once."""

    max_num_batched_tokens: int
    max_num_seqs: int


@dataclass(slots=True)
class Schedule:
    """The decision for one step. `rows` is the batch, in order; every running or waiting request
    that is not in it is covered by one of `waits`."""

    rows: list[Row] = field(default_factory=list)
    admitted: list[Request] = field(default_factory=list)
    preempted: list[Request] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)


class Plan:
    """`running` is in order of arrival, or of `rank` where the policy ranks those who run too. It
    holds what was running when the step began; requests admitted or preempted while planning are
    in `schedule`.

    Without `rank` everyone admitted takes one of `max_num_seqs` places until it ends. With it the
    places are those of this step's batch: more may be admitted, and the outranked pause.
    """

    def __init__(
        self,
        running: Sequence[Request],
        kv_cache: KVCache,
        budget: Budget,
        admission: Admission,
        preemption: Preemption,
        chunked: bool,
        rank: Callable[[Request], Any] | None = None,
        num_dead: int = 0,
    ) -> None:
        self.running = list(running)
        self.kv_cache = kv_cache
        self.budget = budget
        self.schedule = Schedule()
        self.tokens_left = budget.max_num_batched_tokens - num_dead  # a dead slot takes its row
        self._admission = admission
        self._preemption = preemption
        self._chunked = chunked
        self._rank = rank

    # ---- what is running already -------------------------------------------------------------

    def decode_all(self) -> None:
        """One token for every running decode, in the order of `running`."""
        rows, size, forks = self.schedule.rows, self.kv_cache.block_size, self.kv_cache.has_forks
        for request in self.running[:]:
            if request.in_decode:
                # Most often its last block has room: then nothing has to be asked for.
                row = request.decode_row
                room = 0 if row is None or forks else len(row.block_table) * size
                if room > request.num_computed_tokens and self.tokens_left > 0:
                    self.tokens_left -= 1
                    rows.append(row)
                else:
                    self.decode(request)

    def decode(self, request: Request) -> bool:
        """One token for `request`. While no block is free for it, preempt whom the preemption
        policy names; False when that is `request` itself."""
        if self.tokens_left < 1:
            self.wait(request.request_id, WaitReason.TOKEN_BUDGET, (BATCH,), 1, self.tokens_left)
            return False
        if not self._grow(request, request.num_tokens):
            return False
        self._add(request, 1)
        return True

    def continue_prefills(self) -> None:
        """The next chunk of every prompt that is partly computed, while budget is left."""
        for request in [request for request in self.running if not request.in_decode]:
            if request in self.schedule.preempted:  # to make room for another one's chunk
                continue
            if request.status is Status.RUNNING:
                self.continue_prefill(request)

    def continue_prefill(self, request: Request) -> bool:
        """The next chunk of one prompt that is partly computed, as long as the budget allows."""
        tokens = min(request.num_uncomputed_tokens, self.tokens_left)
        if tokens < 1:
            self.wait(request.request_id, WaitReason.TOKEN_BUDGET, (BATCH,), 1, 0)
            return False
        if not self._grow(request, request.num_computed_tokens + tokens):
            return False
        self._add(request, tokens)
        return True

    def serve_by_rank(self, waiting: Iterable[Request]) -> None:
        """Serve everyone, running or waiting, in the order of rank until the places of this step
        are taken. The outranked among the running pause and keep their blocks."""
        assert self._rank is not None, "this policy does not rank those who run"
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

    def preempt(self, victim: Request, by: Request) -> None:
        """Take all blocks of `victim`; it goes back to waiting. Its tokens are swapped out where
        the engine does that and has room for them, else they are computed again."""
        self.running.remove(victim)
        swapped = self.kv_cache.swap_out(victim)
        if not swapped:
            self.kv_cache.free(victim)
            victim.num_computed_tokens = 0
        victim.in_decode, victim.decode_row = False, None
        victim.num_preemptions += 1
        self.kv_cache.log.append(
            Preempted(victim.request_id, None if victim is by else by.request_id)
        )
        for row in [row for row in self.schedule.rows if row.request is victim]:
            self.schedule.rows.remove(row)  # a policy may change its mind
            self.tokens_left += row.num_new_tokens
        self.schedule.preempted.append(victim)
        holders = (ALL_RUNNING,) if victim is by else (by.request_id,)
        self.wait(victim.request_id, WaitReason.PREEMPTED, holders)

    # ---- who waits ---------------------------------------------------------------------------

    def admit_in_order(self, waiting: Iterable[Request]) -> None:
        """Admit from the front until one cannot be; nobody is admitted past it."""
        if self.schedule.preempted:
            first = min(self.schedule.preempted, key=arrival_order)
            self.wait(ALL_WAITING, WaitReason.HEAD_OF_LINE, (first.request_id,))
            return
        for request in waiting:
            if not self.admit(request):
                return

    def admit(self, request: Request) -> bool:
        """Admit one waiting request with as much of its prompt as the budget allows, or record
        the first resource that is missing, for it and for all behind it."""
        taken = len(self.running) + len(self.schedule.admitted)
        if self._rank is not None:
            taken = len(self.schedule.rows)
        if taken >= self.budget.max_num_seqs:
            holder = ALL_RUNNING if self._rank is None else BATCH
            self.wait(ALL_WAITING, WaitReason.MAX_NUM_SEQS, (holder,), 1, 0)
            return False
        if self.tokens_left < 1:
            self.wait(ALL_WAITING, WaitReason.TOKEN_BUDGET, (BATCH,), 1, 0)
            return False
        hit = self.kv_cache.find_prefix(request)
        swapped = request.num_computed_tokens  # what comes back; 0 but for one swapped out
        cached = 0 if swapped else len(hit.blocks) * self.kv_cache.block_size
        tokens = request.num_tokens - swapped - cached
        if tokens > self.tokens_left:
            if not self._may_split(request):
                self._blocked(request, WaitReason.TOKEN_BUDGET, BATCH, tokens, self.tokens_left)
                return False
            tokens = self.tokens_left
        slots = self._admission.slots_to_hold(request, swapped + cached + tokens)
        needs, free = self._room(request, slots, hit)
        if needs > free and self._rank is not None:
            needs, free = self._make_room(request, slots, hit)
        if needs > free:
            self._blocked(request, WaitReason.NO_KV_BLOCKS, ALL_RUNNING, needs, max(0, free))
            return False
        log = self.kv_cache.log
        begin = len(log)
        if not self.kv_cache.allocate(request, slots, hit):
            run = self.kv_cache.largest_run
            self._blocked(request, WaitReason.FRAGMENTED, ALL_RUNNING, needs, run)
            return False
        # Admitted precedes what was just logged, so that the fold sees a running sequence grow.
        log.insert(begin, Admitted(request.request_id, cached))
        request.num_computed_tokens = swapped + cached
        only_the_last = request.num_output_tokens > 0 and request.num_uncomputed_tokens == 1
        request.in_decode = swapped > 0 and only_the_last
        self.schedule.admitted.append(request)
        self._add(request, tokens)
        return True

    def _admit_by_rank(self, request: Request) -> bool:
        assert self._rank is not None
        if self.schedule.preempted:
            first = min(self.schedule.preempted, key=self._rank)
            if self._rank(first) < self._rank(request):
                self.wait(ALL_WAITING, WaitReason.HEAD_OF_LINE, (first.request_id,))
                return False
        return self.admit(request)

    # ---- memory ------------------------------------------------------------------------------

    def _grow(self, request: Request, num_tokens: int) -> bool:
        """Let `request` hold `num_tokens`. While no block is free for it, preempt whom the policy
        names; False when that is `request` itself, or one whose row is in this step already."""
        while not self.kv_cache.allocate(request, num_tokens):
            victim = self._preemption.victim(self.running, request)
            if victim is None or any(row.request is victim for row in self.schedule.rows):
                needs = self.kv_cache.blocks_needed(request, num_tokens)
                free = self.kv_cache.num_free_blocks
                self.wait(request.request_id, WaitReason.NO_KV_BLOCKS, (ALL_RUNNING,), needs, free)
                return False
            self.preempt(victim, by=request)
            if victim is request:
                return False
        return True

    def _room(self, request: Request, slots: int, hit: PrefixHit) -> tuple[int, int]:
        live = [*self.running, *self.schedule.admitted]
        return self._admission.room(request, slots, hit, live, self.kv_cache)

    def _make_room(self, request: Request, slots: int, hit: PrefixHit) -> tuple[int, int]:
        """Preempt whom `request` outranks, lowest first, unless all of them hold too little."""
        assert self._rank is not None
        rank = self._rank(request)
        lower = [other for other in self.running if self._rank(other) > rank]
        needs, free = self._room(request, slots, hit)
        if needs <= free + sum(len(self.kv_cache.block_table(other)) for other in lower):
            while needs > free and lower:
                self.preempt(lower.pop(), by=request)
                needs, free = self._room(request, slots, hit)
        return needs, free

    # ---- the record --------------------------------------------------------------------------

    def wait(
        self,
        who: str,
        reason: WaitReason,
        holders: tuple[str, ...] = (),
        needs: int | None = None,
        free: int | None = None,
    ) -> None:
        """Write down why `who` (an id, ALL_WAITING or ALL_RUNNING) is not in this step."""
        self.schedule.waits.append(Wait(who, reason, holders, needs, free))

    def _blocked(
        self, request: Request, reason: WaitReason, holder: str, needs: int, free: int
    ) -> None:
        self.wait(request.request_id, reason, (holder,), needs, free)
        self.wait(ALL_WAITING, WaitReason.HEAD_OF_LINE, (request.request_id,))

    def _may_split(self, request: Request) -> bool:
        # A policy that never splits prompts must still split the recomputation of a preempted
        # request that has grown past the budget, or it would wait for ever.
        full = self.budget.max_num_batched_tokens
        return self._chunked or (request.num_tokens > full and self.tokens_left == full)

    def _add(self, request: Request, num_tokens: int) -> None:
        self.tokens_left -= num_tokens
        row = request.decode_row
        if row is None:
            row = Row(request, num_tokens, self.kv_cache.block_table(request))
            if request.in_decode:
                request.decode_row = row
        self.schedule.rows.append(row)
