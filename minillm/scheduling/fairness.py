"""Fair share: the client who has had least goes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from minillm.events import Step
from minillm.request import Request, Status
from minillm.scheduling.books import Books
from minillm.scheduling.order import Order

if TYPE_CHECKING:
    from minillm.scheduling.plan import Schedule

INPUT_COST = 1.0  # per prompt token, at admission
OUTPUT_COST = 2.0  # per generated token


class VirtualTokenCounter(Order, Books):
    """VTC (OSDI'24). Each client has a counter of the tokens it was served, divided by its weight
    (1 unless given); the next to be admitted is the oldest request of the client whose counter is
    smallest. An idle client saves up nothing: when it comes back with an empty queue its counter
    is lifted to the smallest among the other queued clients or, if none is queued, to that of
    the client who left the queue last. Requests without a client are one client.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = dict(weights or {})
        for client, weight in self.weights.items():
            if not weight > 0:
                raise ValueError(f"the weight of client {client!r} must be > 0, got {weight}")
        self.counters: dict[str | None, float] = {}
        self._queued: dict[str | None, set[str]] = {}  # ids; only clients that have some
        self._last_to_leave: str | None = None
        self._someone_left = False
        self._charged: dict[str, int] = {}  # output tokens paid for

    def arrange(self, waiting: Sequence[Request], now: int) -> Iterable[Request]:
        queues: dict[str | None, list[Request]] = {}
        for request in reversed(waiting):
            queues.setdefault(request.client, []).append(request)
        counters = {client: self.counters[client] for client in queues}
        while queues:
            client = min(
                queues,
                key=lambda c: (counters[c], queues[c][-1].arrival_time, queues[c][-1].number),
            )
            request = queues[client].pop()
            yield request
            # Asked for another, so that one was admitted.
            counters[client] += self._cost(request, INPUT_COST * request.num_prompt_tokens)
            if not queues[client]:
                del queues[client]

    def added(self, request: Request) -> None:
        client = request.client
        counter = self.counters.get(client, 0.0)
        if client not in self._queued:
            others = [self.counters[other] for other in self._queued]
            if others:
                counter = max(counter, min(others))
            elif self._someone_left:
                counter = max(counter, self.counters[self._last_to_leave])
        self.counters[client] = counter
        self._queued.setdefault(client, set()).add(request.request_id)
        self._charged[request.request_id] = 0

    def forked(self, request: Request) -> None:
        """The prompt was paid for once."""
        self._charged[request.request_id] = 0
        if request.status is Status.WAITING:
            self._queued.setdefault(request.client, set()).add(request.request_id)

    def scheduled(self, schedule: Schedule) -> None:
        for request in schedule.preempted:
            self._queued.setdefault(request.client, set()).add(request.request_id)
        for request in schedule.admitted:
            if request.num_preemptions == 0:  # computing again is no new service
                cost = INPUT_COST * request.num_prompt_tokens
                self.counters[request.client] += self._cost(request, cost)
            self._leave_queue(request)

    def served(self, requests: Sequence[Request], step: Step) -> None:
        for request in requests:
            self._charge_output(request)

    def finished(self, request: Request) -> None:
        self._charge_output(request)
        del self._charged[request.request_id]
        self._leave_queue(request)

    def _charge_output(self, request: Request) -> None:
        paid = self._charged.get(request.request_id)
        if paid is not None:  # else it has finished, and paid
            new = request.num_output_tokens - paid
            self._charged[request.request_id] = request.num_output_tokens
            self.counters[request.client] += self._cost(request, OUTPUT_COST * new)

    def _leave_queue(self, request: Request) -> None:
        queued = self._queued.get(request.client)
        if queued is None or request.request_id not in queued:
            return
        queued.remove(request.request_id)
        if not queued:
            del self._queued[request.client]
            self._last_to_leave, self._someone_left = request.client, True

    def _cost(self, request: Request, tokens: float) -> float:
        return tokens / self.weights.get(request.client or "", 1.0)
