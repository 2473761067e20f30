"""A queue in order of arrival, from which anyone may leave."""

from __future__ import annotations

from bisect import bisect_left, insort

from minillm.request import Request


def arrival_order(request: Request) -> tuple[int, int, int]:
    """First come, first served; equal arrival times in order of addition, forks after their
    parent."""
    return request.arrival_time, request.number, request.fork


class ArrivalQueue(list[Request]):
    """Requests in arrival order. A preempted request that comes back takes its old place."""

    def add(self, request: Request) -> None:
        insort(self, request, key=arrival_order)

    def remove(self, request: Request) -> None:
        index = bisect_left(self, arrival_order(request), key=arrival_order)
        assert self[index] is request
        del self[index]
