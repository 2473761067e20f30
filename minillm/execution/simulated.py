"""The executor of simulated time: a cost model in place of the GPU, no tokens, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from minillm.execution.batch import Result, Row, Sampled


class CostModel(Protocol):
    """Says how long a step takes."""

    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        """`batch`: (num_new_tokens, num_computed_tokens), one per scheduled request."""
        ...


class SimulatedExecutor:
    """Samples token 0 wherever a token is due; where a sequence ends is the engine's business."""

    def __init__(self, cost_model: CostModel) -> None:
        self.cost_model = cost_model

    def execute(self, rows: Sequence[Row]) -> Result:
        """See `Executor`. Raises ValueError when the cost model's answer is no duration."""
        seconds = self.cost_model.step_seconds(
            [(row.num_new_tokens, row.request.num_computed_tokens) for row in rows]
        )
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"step_seconds returned {seconds!r}; it must be a number ≥ 0")
        return Result([Sampled(0) if row.samples else None for row in rows], seconds)
