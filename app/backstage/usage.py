"""What a live run and those who watch it take of the CPU."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

LOOKS = 12  # that shares are taken over
LEAST = 1.0  # seconds that they are taken over


class Usage:
    """`clock` gives seconds; `thread_clock` those that the calling thread has had of the CPU."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        thread_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._thread_clock = thread_clock
        self._seen: deque[tuple[float, float, float]] = deque(maxlen=LOOKS)

    def shares(self, engine_seconds: float) -> tuple[float, float] | None:
        """The shares of one core that the engine and the calling thread had over the last calls,
        given the engine thread's CPU seconds so far; None in the first moments. To be called by
        the thread that answers browsers: all that it does counts as watching."""
        self._seen.append((self._clock(), engine_seconds, self._thread_clock()))
        first, last = self._seen[0], self._seen[-1]
        passed, engine, view = (now - then for now, then in zip(last, first, strict=True))
        return (engine / passed, view / passed) if passed >= LEAST else None
