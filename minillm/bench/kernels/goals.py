"""What the kernels are to reach on a GPU, each as a fraction of something measured beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from minillm.bench.kernels.measure import Row

OWN = "minillm"


@dataclass(frozen=True, slots=True)
class Goal:
    """The kernel on `case` reaches `least` of the copy bandwidth, or is `least` times as fast as
    the contender `than`."""

    case: str
    least: float
    than: str | None = None

    def __str__(self) -> str:
        if self.than is None:
            return f"{self.case}: ≥ {self.least:.0%} of the copy bandwidth"
        return f"{self.case}: ≥ {self.least:.0%} of the speed of {self.than}"


_DECODES = ("decode 64 × 4k", "decode 1 × 64k")
GOALS = (
    *(Goal(case, 0.85) for case in _DECODES),
    Goal("prefill 8 × 4k", 0.80, "torch SDPA"),
    *(
        Goal(case, 1.0, than)
        for case in _DECODES
        for than in ("torch SDPA", "gather + SDPA", "FlashInfer")
    ),
    *(Goal(f"{case}, blocks of 128", 1.0, "FlexAttention") for case in _DECODES),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and what was reached; None where either side was not measured."""

    goal: Goal
    reached: float | None

    @property
    def word(self) -> str:
        if self.reached is None:
            return "not measured"
        return "met" if self.reached >= self.goal.least else "missed"

    def plain(self) -> dict[str, Any]:
        return {"goal": str(self.goal), "reached": self.reached, "verdict": self.word}


def judge(rows: Iterable[Row]) -> list[Verdict]:
    """Every goal against what was measured."""
    found = {(row.case, row.contender): row for row in rows}
    return [Verdict(goal, _reached(goal, found)) for goal in GOALS]


def _reached(goal: Goal, found: dict[tuple[str, str], Row]) -> float | None:
    own = found.get((goal.case, OWN))
    if own is None:
        return None
    if goal.than is None:
        return own.of_copy
    other = found.get((goal.case, goal.than))
    if other is None or other.median_us is None or own.median_us is None:
        return None
    return other.median_us / own.median_us
