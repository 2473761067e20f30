"""A queue in order of arrival, from which anyone may leave."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import overload

from minillm.request import Request


def arrival_order(request: Request) -> tuple[int, int, int]:
    """First come, first served; equal arrival times in order of addition, forks after their
    parent."""
    return request.arrival_time, request.number, request.fork


class ArrivalQueue(Sequence[Request]):
    """Requests in arrival order. A preempted request that comes back takes its old place."""

    def __init__(self) -> None:
        self._requests: list[Request] = []

    def add(self, request: Request) -> None:
        insort(self._requests, request, key=arrival_order)

    def remove(self, request: Request) -> None:
        index = bisect_left(self._requests, arrival_order(request), key=arrival_order)
        assert self._requests[index] is request
        del self._requests[index]

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(self._requests)

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Request]: ...
    def __getitem__(self, index: int | slice) -> Request | Sequence[Request]:
        return self._requests[index]
