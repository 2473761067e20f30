"""A running total that many requests share, so that what they all pay is booked once per step.

A member's part is what was booked between its entering and its leaving. Leaving costs as much as
there are culprits booked meanwhile, times the logarithm of the steps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from operator import itemgetter


class _Culprit:
    """What one culprit cost, booking by booking. `highest`: (tick, ns, step) of those bookings
    that are larger than all behind them, so that the first after a tick is the largest since."""

    __slots__ = ("highest", "sums", "ticks")

    def __init__(self) -> None:
        self.ticks: list[int] = []
        self.sums: list[int] = []  # ns, up to that tick
        self.highest: list[tuple[int, int, int]] = []

    def book(self, tick: int, ns: int, step: int) -> None:
        self.sums.append((self.sums[-1] if self.sums else 0) + ns)
        self.ticks.append(tick)
        highest = self.highest
        while highest and highest[-1][1] < ns:
            highest.pop()
        highest.append((tick, ns, step))

    def since(self, tick: int) -> tuple[int, int, int]:
        """ns booked after `tick`; the largest booking of those, and its step."""
        at = bisect_right(self.ticks, tick)
        before = self.sums[at - 1] if at else 0
        _, peak, step = self.highest[bisect_right(self.highest, tick, key=itemgetter(0))]
        return self.sums[-1] - before, peak, step


class Tally:
    """Who is in it, and what it costs them. Culprits are kept in order of last booking."""

    def __init__(self) -> None:
        self.members: dict[str, int] = {}  # id → the tick at which it entered
        self._tick = 0
        self._culprits: dict[str, _Culprit] = {}

    def enter(self, id: str) -> None:
        self.members[id] = self._tick

    def leave(self, id: str) -> list[tuple[str, int, int, int]]:
        """What was booked since `id` entered: (culprit, ns, largest booking, its step)."""
        entered = self.members.pop(id)
        parts = []
        for name in reversed(self._culprits):
            culprit = self._culprits[name]
            if culprit.ticks[-1] <= entered:
                break
            parts.append((name, *culprit.since(entered)))
        return parts

    def book(self, parts: Mapping[str, int], step: int) -> None:
        """All members pay `parts`, culprit → ns, for `step`."""
        self._tick += 1
        for name, ns in parts.items():
            if ns:
                culprit = self._culprits[name] = self._culprits.pop(name, None) or _Culprit()
                culprit.book(self._tick, ns, step)
