"""The engine clock: the only time that schedulers, arrivals and metrics see.

Both clocks are stopwatches in integer nanoseconds that move in two ways: a step advances them by
that step's duration, and the workload driver moves them forward over idle time. They differ in
where a step's duration comes from: the wall, or the cost model. Pausing or pacing a run therefore
changes no figure.
"""

from __future__ import annotations

import time


class VirtualClock:
    """Simulated time: a step lasts as long as the executor says."""

    def __init__(self) -> None:
        self.now = 0

    def begin_step(self) -> None:
        """Called before scheduling."""

    def end_step(self, modelled_seconds: float) -> int:
        """Advance by the step just executed; returns its duration in nanoseconds."""
        duration = round(modelled_seconds * 1e9)
        self.now += duration
        return duration

    def advance_to(self, time_ns: int) -> None:
        """Skip idle time: move forward to `time_ns`, never back."""
        self.now = max(self.now, time_ns)


class WallClock(VirtualClock):
    """Measured time: a step lasts as long as it took, whatever the executor models."""

    def __init__(self) -> None:
        super().__init__()
        self._began = 0

    def begin_step(self) -> None:
        self._began = time.perf_counter_ns()

    def end_step(self, modelled_seconds: float) -> int:
        duration = time.perf_counter_ns() - self._began
        self.now += duration
        return duration
