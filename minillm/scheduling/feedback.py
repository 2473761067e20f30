"""Multi-level feedback queues: who has had little service goes before who has had much.

Nobody knows how long an answer will be. So everyone begins in a high queue; who uses up the
queue's quantum of time without ending moves one queue down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from minillm.events import Step
from minillm.request import Request
from minillm.scheduling.books import Books, Estimate
from minillm.scheduling.order import Order

if TYPE_CHECKING:
    from minillm.scheduling.plan import Budget


@dataclass(slots=True)
class _Entry:
    queue: int
    place: int  # within the queue; the lower goes first
    used: int  # ns of service since it joined the queue
    last_served: int  # ns; its arrival before the first time


class FeedbackQueues(Order, Books):
    """Plain MLFQ. `quantum` is that of queue 0, in seconds; each queue below has twice the time.
    With `promote_after`, who has had no service for so many seconds goes to the front of queue 0.

    After a step, who has used more than the quantum is demoted by one queue, behind those there,
    and starts afresh; the unfinished others keep their place in front of whoever came later.
    """

    def __init__(self, *, quantum: float = 0.010, promote_after: float | None = None) -> None:
        self.quantum = round(quantum * 1e9)
        self.promote_after = None if promote_after is None else round(promote_after * 1e9)
        self._entries: dict[str, _Entry] = {}
        self._back = 0
        self._front = 0

    def key(self, request: Request, now: int) -> tuple[int, int]:
        entry = self._entries[request.request_id]
        return entry.queue, entry.place

    def queue_of(self, request_id: str) -> int:
        """The queue in which a request is, 0 the highest."""
        return self._entries[request_id].queue

    def first_queue(self, request: Request) -> int:
        """The queue that a newcomer joins."""
        return 0

    def added(self, request: Request) -> None:
        queue = self.first_queue(request)
        self._entries[request.request_id] = _Entry(queue, self._behind(), 0, request.arrival_time)

    def begin(self, now: int) -> None:
        if self.promote_after is None:
            return
        for entry in self._entries.values():
            if now - entry.last_served >= self.promote_after:
                self._front -= 1
                entry.queue, entry.place, entry.used = 0, self._front, 0
                entry.last_served = now  # the promotion counts as a fresh start

    def served(self, requests: Sequence[Request], step: Step) -> None:
        for request in requests:
            entry = self._entries.get(request.request_id)
            if entry is None:  # it finished with this step
                continue
            entry.last_served = step.start + step.duration
            entry.used += step.duration
            if entry.used > self.quantum << entry.queue:
                entry.queue, entry.place, entry.used = entry.queue + 1, self._behind(), 0

    def finished(self, request: Request) -> None:
        self._entries.pop(request.request_id, None)

    def _behind(self) -> int:
        self._back += 1
        return self._back


class SkipJoin(FeedbackQueues):
    """FastServe's skip-join MLFQ: the prompt's length is known, and with it how long the first
    token takes. Who could not finish even that within the quantum of a high queue skips it, and
    joins the highest whose quantum is long enough."""

    def __init__(self, *, quantum: float = 0.010, promote_after: float | None = 3.0) -> None:
        super().__init__(quantum=quantum, promote_after=promote_after)
        self._estimate: Estimate = lambda batch: 0.0

    def bind(self, estimate: Estimate, generator: Random, budget: Budget) -> None:
        self._estimate = estimate

    def first_queue(self, request: Request) -> int:
        prefill = round(self._estimate([(request.num_prompt_tokens, 0)]) * 1e9)
        queue = 0
        while self.quantum << queue < prefill:
            queue += 1
        return queue
