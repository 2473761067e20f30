"""The Scheduler: four ideas put together, and the one class a user's own policy extends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from random import Random
from typing import Any

from minillm.arrivals import arrival_order
from minillm.config import ConfigError
from minillm.events import Step
from minillm.execution.batch import Row
from minillm.kv_cache import KVCache, PrefixHit
from minillm.request import Request, Status
from minillm.scheduling.admission import Admission, OnDemand, ReserveMax
from minillm.scheduling.batching import Batching, ChunkedPrefill
from minillm.scheduling.books import Books, Estimate
from minillm.scheduling.estimate import LearnedEstimate
from minillm.scheduling.order import Arrival, Order
from minillm.scheduling.plan import Budget, Plan, Schedule
from minillm.scheduling.preemption import Never, Preemption, YoungestFirst
from minillm.scheduling.ranked_plan import RankedPlan


class Scheduler:
    """Decides each step's batch: order → admit/preempt → compose under the token budget.

    A policy of your own overrides one method. To change who goes first:

        class ShortestPromptFirst(Scheduler):
            def key(self, request, now):
                return request.num_prompt_tokens

    To change what a step is made of, override `compose` and use the primitives of `Plan`:
    `decode_all`, `continue_prefills`, `admit_in_order`, `admit`, `decode`, `preempt`, `wait`.

    Or put ready parts together: `Scheduler(order=ShortestRemaining(), batching=ByRank(),
    preemption=LowestRankFirst())`.

    A scheduler serves one engine. It reads no clock but `now` and must not read
    `request.true_output_len`, which is the future.
    """

    computed: Sequence[Row] = ()  # the batch of the step that `observe` hears of; set by the engine

    def __init__(
        self,
        *,
        batching: Batching | None = None,
        order: Order | None = None,
        admission: Admission | None = None,
        preemption: Preemption | None = None,
    ) -> None:
        self.batching = batching or ChunkedPrefill()
        self.order = order or Arrival()
        self.admission = admission or OnDemand()
        self.preemption = preemption or YoungestFirst()
        keeps_all = type(self).release is Scheduler.release
        self._holds = self.batching.runs_to_completion or not keeps_all  # may slots be dead?
        if self._holds and not isinstance(self.admission, ReserveMax):
            raise ConfigError(
                "a policy that holds requests whose answers have ended keeps their memory, too, so "
                "it cannot take more on demand: give it admission=ReserveMax()."
            )
        parts = (self.batching, self.order, self.admission, self.preemption)
        self._books = [part for part in parts if isinstance(part, Books)]
        self._learned: LearnedEstimate | None = None
        self._max_num_seqs = 0

    def bind(self, estimate: Estimate | None, generator: Random, budget: Budget) -> None:
        """What the engine offers, told once, at its start: how long a batch will take (None:
        learn it from the steps), random numbers, and the budget of a step."""
        self._max_num_seqs = budget.max_num_seqs
        if estimate is None:
            estimate = self._learned = LearnedEstimate()
        for part in self._books:
            part.bind(estimate, generator, budget)

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def chunked(self) -> bool:
        """May a prompt be computed in several steps?"""
        return self.batching.chunked

    @property
    def preempts(self) -> bool:
        """May one that runs have to give way?"""
        return not isinstance(self.preemption, Never)

    def key(self, request: Request, now: int) -> Any:
        """Waiting requests are admitted in ascending order of this, ties in order of arrival.
        `now` is engine time in ns. The default is that of `order`."""
        return self.order.key(request, now)

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        """Fill the step. `waiting` is already in the order of `key`."""
        self.batching.compose(plan, waiting)

    def schedule(
        self,
        waiting: Sequence[Request],
        running: Sequence[Request],
        kv_cache: KVCache,
        budget: Budget,
        now: int,
    ) -> Schedule:
        """Decide one step. `waiting` and `running` are in arrival order and are not changed; KV
        blocks are taken and returned through `kv_cache`."""
        for part in self._books:
            part.begin(now)

        dead = sum(request.status is Status.DONE for request in running) if self._holds else 0
        parts = (kv_cache, budget, self.admission, self.preemption, self.chunked, dead)
        if self.preemption.by_rank:
            plan = RankedPlan(running, *parts, partial(self._rank, now))
        else:
            plan = Plan(running, *parts)
        self.compose(plan, self._in_order(waiting, now) if waiting else ())
        for part in self._books:
            part.scheduled(plan.schedule)
        return plan.schedule

    def release(self, running: Sequence[Request], ended: Sequence[Request]) -> Sequence[Request]:
        """Which of the running requests leave now, given those whose generation has `ended`:
        they at once, or, when batches run to completion, everybody when the last one ends."""
        if self.batching.runs_to_completion and len(ended) < len(running):
            return ()
        return ended

    def fork(
        self, parent: Request, child: Request, running: Sequence[Request], kv_cache: KVCache
    ) -> bool:
        """May `child`, an answer to the same prompt, run beside `parent` from now on? Then it
        holds the parent's KV. False: it waits, as if preempted; no place or no memory is left."""
        if len(running) >= self._max_num_seqs and not self.preemption.by_rank:
            return False
        if not kv_cache.fork(parent, child):
            return False
        slots = self.admission.slots_to_hold(child, child.num_tokens)
        needs, free = self.admission.room(child, slots, PrefixHit(), running, kv_cache)
        if needs <= free and kv_cache.allocate(child, slots):
            return True
        kv_cache.free(child)
        return False

    def added(self, request: Request) -> None:
        """A request has arrived. Tells the parts that keep books: call it when you override it."""
        for part in self._books:
            part.added(request)

    def forked(self, request: Request) -> None:
        """One was forked off: it runs, or waits for room. Tells the parts, as above."""
        for part in self._books:
            part.forked(request)

    def observe(self, step: Step) -> None:
        """A step is complete. Tells the parts that keep books, as above."""
        if self._learned is not None:
            tokens = sum(row.num_new_tokens for row in self.computed)
            self._learned.learn(tokens, step.duration / 1e9)
        if self._books:
            served = [row.request for row in self.computed]
            for part in self._books:
                part.served(served, step)

    def finished(self, request: Request) -> None:
        """A request has left. Tells the parts that keep books, as above."""
        for part in self._books:
            part.finished(request)

    def _rank(self, now: int, request: Request) -> tuple[Any, ...]:
        return self.key(request, now), *arrival_order(request)

    def _in_order(self, waiting: Sequence[Request], now: int) -> Iterable[Request]:
        if type(self).key is Scheduler.key:
            return self.order.arrange(waiting, now)
        return sorted(waiting, key=lambda request: self.key(request, now))
