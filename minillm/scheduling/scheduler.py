"""The Scheduler: four ideas put together, and the one class a user's own policy extends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minillm.events import Step
from minillm.kv_cache import PagedKVCache
from minillm.request import Request
from minillm.scheduling.admission import Admission, OnDemand
from minillm.scheduling.batching import Batching, ChunkedPrefill
from minillm.scheduling.plan import Budget, Plan, Schedule
from minillm.scheduling.preemption import Preemption, YoungestFirst


class Scheduler:
    """Decides each step's batch: order → admit/preempt → compose under the token budget.

    A policy of your own overrides one method. To change who goes first:

        class ShortestPromptFirst(Scheduler):
            def key(self, request, now):
                return request.num_prompt_tokens

    To change what a step is made of, override `compose` and use the primitives of `Plan`:
    `decode_all`, `continue_prefills`, `admit_in_order`, `admit`, `decode`, `preempt`, `wait`.

    A scheduler serves one engine. It reads no clock but `now` and must not read
    `request.true_output_len`, which is the future.
    """

    def __init__(
        self,
        *,
        batching: Batching | None = None,
        admission: Admission | None = None,
        preemption: Preemption | None = None,
    ) -> None:
        self.batching = batching or ChunkedPrefill()
        self.admission = admission or OnDemand()
        self.preemption = preemption or YoungestFirst()

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def chunked(self) -> bool:
        """May a prompt be computed in several steps?"""
        return self.batching.chunked

    def key(self, request: Request, now: int) -> Any:
        """Waiting requests are admitted in ascending order of this, ties in order of arrival.
        `now` is engine time in ns. None for all (the default) is order of arrival."""
        return None

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        """Fill the step. `waiting` is already in the order of `key`."""
        self.batching.compose(plan, waiting)

    def schedule(
        self,
        waiting: Sequence[Request],
        running: Sequence[Request],
        kv_cache: PagedKVCache,
        budget: Budget,
        now: int,
    ) -> Schedule:
        """Decide one step. `waiting` and `running` are in arrival order and are not changed; KV
        blocks are taken and returned through `kv_cache`."""
        plan = Plan(running, kv_cache, budget, self.admission, self.preemption, self.chunked)
        self.compose(plan, self._in_order(waiting, now))
        return plan.schedule

    def release(self, running: Sequence[Request], ended: Sequence[Request]) -> Sequence[Request]:
        """Which of the running requests leave now, given those whose generation has `ended`:
        they at once, or, when batches run to completion, everybody when the last one ends."""
        if self.batching.runs_to_completion and len(ended) < len(running):
            return ()
        return ended

    def added(self, request: Request) -> None:
        """A request has arrived. For policies that keep books; does nothing here."""

    def observe(self, step: Step) -> None:
        """A step is complete. For policies that keep books; does nothing here."""

    def finished(self, request: Request) -> None:
        """A request has left. For policies that keep books; does nothing here."""

    def _in_order(self, waiting: Sequence[Request], now: int) -> Iterable[Request]:
        if type(self).key is Scheduler.key:
            return waiting
        return sorted(waiting, key=lambda request: self.key(request, now))
