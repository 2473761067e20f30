"""Books: how a part of a scheduler hears what happens, if it needs to remember.

Most parts are plain rules. Some remember: whose turn it was, how long answers tend to be. They
derive from `Books` and override what they want to hear; their `Scheduler` tells them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from minillm.events import Step
from minillm.request import Request

if TYPE_CHECKING:
    from minillm.scheduling.plan import Budget, Schedule

Estimate = Callable[[Sequence[tuple[int, int]]], float]
"""Seconds that a batch of (num_new_tokens, num_computed_tokens) pairs will take."""


class Books:
    """Each method does nothing unless it is overridden. Times are engine-clock ns."""

    def bind(self, estimate: Estimate, generator: Random, budget: Budget) -> None:
        """Before anything else: what this engine offers."""

    def added(self, request: Request) -> None:
        """A request has arrived and waits."""

    def forked(self, request: Request) -> None:
        """Another answer to a prompt begins, with its first token. It runs, or it waits when there
        is no room for it."""
        self.added(request)

    def begin(self, now: int) -> None:
        """A step is about to be planned."""

    def scheduled(self, schedule: Schedule) -> None:
        """A step has been planned."""

    def served(self, requests: Sequence[Request], step: Step) -> None:
        """A step has been computed for `requests`, those of its batch. Some of them may have
        finished with it, and then `finished` has been told before."""

    def finished(self, request: Request) -> None:
        """A request has left, for whatever reason, from the queue or from the batch."""


class Relay(Books):
    """Passes on what it hears to a part that it is made of, if that keeps books."""

    def __init__(self, part: object) -> None:
        self._part = part if isinstance(part, Books) else Books()

    def bind(self, estimate: Estimate, generator: Random, budget: Budget) -> None:
        self._part.bind(estimate, generator, budget)

    def added(self, request: Request) -> None:
        self._part.added(request)

    def forked(self, request: Request) -> None:
        self._part.forked(request)

    def begin(self, now: int) -> None:
        self._part.begin(now)

    def scheduled(self, schedule: Schedule) -> None:
        self._part.scheduled(schedule)

    def served(self, requests: Sequence[Request], step: Step) -> None:
        self._part.served(requests, step)

    def finished(self, request: Request) -> None:
        self._part.finished(request)
