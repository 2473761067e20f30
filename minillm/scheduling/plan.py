"""One step being planned: the primitives every policy is written with.

A policy decides *whom to ask for* and in which order; a `Plan` answers with what there is: it
takes KV blocks, spends the token budget, preempts when memory is short, and writes down a
`Wait` with the first missing resource whenever something cannot be done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
    """`running` is in order of arrival and holds what was running when the step began; requests
    admitted or preempted while planning are in `schedule`. `RankedPlan` is for policies that rank
    those who run, too."""

    _place_holders = ALL_RUNNING  # who holds the places that `max_num_seqs` counts

    def __init__(
        self,
        running: Sequence[Request],
        kv_cache: KVCache,
        budget: Budget,
        admission: Admission,
        preemption: Preemption,
        chunked: bool,
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

    # ---- what is running already -------------------------------------------------------------

    def decode_all(self) -> None:
        """One token for every running decode, in the order of `running`."""
        rows, running, spent = self.schedule.rows, self.running[:], 0
        plenty = self.tokens_left >= len(running) and not self.kv_cache.has_forks  # for everybody
        for request in running:
            if request.in_decode:
                # Most often its last block has room: then nothing has to be asked for.
                if plenty and request.decode_slots > request.num_computed_tokens:
                    rows.append(request.decode_row)
                    spent += 1
                else:
                    self.decode(request)
        self.tokens_left -= spent

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
        if len(self.schedule.rows) - len(self.schedule.admitted) == len(self.running):
            return  # everybody has a row already
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

    def preempt(self, victim: Request, by: Request) -> None:
        """Take all blocks of `victim`; it goes back to waiting. Its tokens are swapped out where
        the engine does that and has room for them, else they are computed again."""
        if not self.kv_cache.swap_out(victim):
            self.kv_cache.free(victim)
            victim.num_computed_tokens = 0
        self._send_back(victim, by)

    def _send_back(self, victim: Request, by: Request) -> None:
        self.running.remove(victim)
        victim.in_decode, victim.decode_row, victim.decode_slots = False, None, 0
        victim.num_preemptions += 1
        self.kv_cache.log.append(
            Preempted(victim.request_id, None if victim is by else by.request_id)
        )
        for row in [row for row in self.schedule.rows if row.request is victim]:
            self.schedule.rows.remove(row)  # a policy may change its mind
            self.tokens_left += row.num_new_tokens
        self.schedule.preempted.append(victim)
        holders = (ALL_RUNNING,) if victim is by else (by.request_id,)
        waits = self.schedule.waits  # whatever it waited for, now it waits for this
        waits[:] = [wait for wait in waits if wait.who != victim.request_id]
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
        if self._places_taken() >= self.budget.max_num_seqs:
            self.wait(ALL_WAITING, WaitReason.MAX_NUM_SEQS, (self._place_holders,), 1, 0)
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
        if needs > free:
            needs, free = self._make_room(request, slots, hit)
        if needs > free:
            self._blocked(request, WaitReason.NO_KV_BLOCKS, ALL_RUNNING, needs, max(0, free))
            return False
        if not self._enter(request, slots, hit, cached):
            run = self.kv_cache.largest_run
            self._blocked(request, WaitReason.FRAGMENTED, ALL_RUNNING, needs, run)
            return False
        self._add(request, tokens)
        return True

    def _enter(self, request: Request, slots: int, hit: PrefixHit, cached: int) -> bool:
        """`request` is admitted with room for `slots` tokens; False when no run is long enough. Its
        tokens that are swapped out come back, else it begins with the `cached` ones of `hit`."""
        log = self.kv_cache.log
        begin = len(log)
        swapped = request.num_computed_tokens > 0
        if not self.kv_cache.allocate(request, slots, hit):
            return False
        # Admitted precedes what was just logged, so that the fold sees a running sequence grow.
        log.insert(begin, Admitted(request.request_id, cached))
        request.num_computed_tokens += cached
        started = request.num_output_tokens > 0
        request.in_decode = swapped and started and request.num_uncomputed_tokens == 1
        self.schedule.admitted.append(request)
        return True

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

    def _places_taken(self) -> int:
        """Everyone admitted takes one of `max_num_seqs` places until it ends."""
        return len(self.running) + len(self.schedule.admitted)

    def _make_room(self, request: Request, slots: int, hit: PrefixHit) -> tuple[int, int]:
        """Nobody makes room for one who waits; see `_room`."""
        return self._room(request, slots, hit)

    def _room(self, request: Request, slots: int, hit: PrefixHit) -> tuple[int, int]:
        live = [*self.running, *self.schedule.admitted]
        return self._admission.room(request, slots, hit, live, self.kv_cache)

    # ---- the record --------------------------------------------------------------------------

    def wait(
        self,
        who: str,
        reason: WaitReason,
        holders: tuple[str, ...] = (),
        needs: int | None = None,
        free: int | None = None,
    ) -> None:
        """Write down why `who` (an id, ALL_WAITING or ALL_RUNNING) is not in this step. The first
        reason for a group counts."""
        waits = self.schedule.waits
        if who in (ALL_WAITING, ALL_RUNNING) and any(wait.who == who for wait in waits):
            return
        waits.append(Wait(who, reason, holders, needs, free))

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
            request.decode_slots = len(row.block_table) * self.kv_cache.block_size
        self.schedule.rows.append(row)
