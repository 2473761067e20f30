"""Order: who goes first. The simple ones; `feedback.py` and `fairness.py` have those that keep
accounts of service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minillm.events import Step
from minillm.request import Request
from minillm.scheduling.books import Relay
from minillm.scheduling.prediction import Oracle, Predictor


class Order:
    """The base, and the commonest: order of arrival."""

    def key(self, request: Request, now: int) -> Any:
        """Requests go in ascending order of this, ties in order of arrival."""
        return None

    def arrange(self, waiting: Sequence[Request], now: int) -> Iterable[Request]:
        """`waiting`, which is in order of arrival, in this order. The next one is asked for only
        when the one before has been admitted."""
        if type(self).key is Order.key:
            return waiting
        return sorted(waiting, key=lambda request: self.key(request, now))


class Arrival(Order):
    """First come, first served."""


class ByPriority(Order):
    """The lower `priority` value first."""

    def key(self, request: Request, now: int) -> int:
        return request.priority


class ShortestPredicted(Order, Relay):
    """The answer predicted to be shortest goes first (SSJF; learning-to-rank). The predictor may
    be one that learns: see `learned.py`."""

    def __init__(self, predictor: Predictor | None = None) -> None:
        self.predictor = predictor or Oracle()
        super().__init__(self.predictor)

    def key(self, request: Request, now: int) -> float:
        return self.predictor.predict(request)


class ShortestRemaining(Order, Relay):
    """Predicted length less what is written already. One that has outgrown its prediction is
    expected to write as much again as it has."""

    def __init__(self, predictor: Predictor | None = None) -> None:
        self.predictor = predictor or Oracle()
        super().__init__(self.predictor)

    def key(self, request: Request, now: int) -> float:
        left = self.predictor.predict(request) - request.num_output_tokens
        return left if left > 0 else request.num_output_tokens


class StarvationGuard(Order, Relay):
    """Learning-to-rank's guard around another order: a request that was passed over in
    `patience` steps in a row goes before all others, until it has written `period` tokens."""

    def __init__(self, order: Order, *, patience: int = 100, period: int = 20) -> None:
        super().__init__(order)
        self.order = order
        self.patience = patience
        self.period = period
        self._passed_over: dict[str, int] = {}  # steps in a row without service
        self._promoted: dict[str, int] = {}  # tokens left to write

    def key(self, request: Request, now: int) -> tuple[bool, Any]:
        promoted = request.request_id in self._promoted
        return not promoted, None if promoted else self.order.key(request, now)

    def added(self, request: Request) -> None:
        super().added(request)
        self._passed_over[request.request_id] = 0

    def forked(self, request: Request) -> None:
        super().forked(request)
        self._passed_over[request.request_id] = 0

    def served(self, requests: Sequence[Request], step: Step) -> None:
        super().served(requests, step)
        in_batch = {request.request_id for request in requests}
        wrote = {request.request_id for request in requests if request.in_decode}
        for name, count in self._passed_over.items():
            if name not in in_batch:
                self._passed_over[name] = count + 1
                if count + 1 >= self.patience:
                    self._promoted.setdefault(name, self.period)
                continue
            self._passed_over[name] = 0
            if name in self._promoted and name in wrote:
                self._promoted[name] -= 1
                if self._promoted[name] == 0:
                    del self._promoted[name]

    def finished(self, request: Request) -> None:
        super().finished(request)
        self._passed_over.pop(request.request_id, None)
        self._promoted.pop(request.request_id, None)
