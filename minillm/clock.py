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

    def pause(self) -> None:
        """Time stands still until `resume`, in the middle of a step as well."""

    def resume(self) -> None:
        """Time goes on."""

    def advance_to(self, time_ns: int) -> None:
        """Skip idle time: move forward to `time_ns`, never back."""
        self.now = max(self.now, time_ns)


class WallClock(VirtualClock):
    """Measured time: a step lasts as long as it took, whatever the executor models."""

    def __init__(self) -> None:
        super().__init__()
        self._began = 0
        self._paused_at: int | None = None

    def begin_step(self) -> None:
        self._began = time.perf_counter_ns()

    def pause(self) -> None:
        self._paused_at = time.perf_counter_ns()

    def resume(self) -> None:
        if self._paused_at is not None:
            self._began += time.perf_counter_ns() - self._paused_at
            self._paused_at = None

    def end_step(self, modelled_seconds: float) -> int:
        duration = time.perf_counter_ns() - self._began
        self.now += duration
        return duration
