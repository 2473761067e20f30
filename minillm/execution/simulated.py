"""The executor of simulated time: a cost model in place of the GPU, no tokens, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from minillm.execution.batch import Result, Row, Sampled
from minillm.moves import NO_MOVES, BlockMoves

TOKEN = Sampled(0)


class CostModel(Protocol):
    """Says how long a step takes."""

    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        """`batch`: (num_new_tokens, num_computed_tokens), one per scheduled request."""
        ...


class SimulatedExecutor:
    """Samples token 0 wherever a token is due; where a sequence ends is the engine's business."""

    def __init__(self, cost_model: CostModel, bytes_per_block: int = 0) -> None:
        self.cost_model = cost_model
        self.bytes_per_block = bytes_per_block
        self._transfer_seconds = getattr(cost_model, "transfer_seconds", None)

    def execute(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Result:
        """See `Executor`. Raises ValueError when the cost model's answer is no duration.

        Blocks are swapped at the speed of `cost_model.transfer_seconds(bytes)`, if it has that:
        those that the step waits for before it, those moved ahead of need beside it.
        """
        seconds = self.cost_model.step_seconds(
            [(row.num_new_tokens, row.request.num_computed_tokens) for row in rows]
        )
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"step_seconds returned {seconds!r}; it must be a number ≥ 0")
        result = Result([TOKEN] * len(rows), seconds)
        for index, row in [pair for pair in enumerate(rows) if not pair[1].request.in_decode]:
            if not row.samples:
                result.sampled[index] = None
            else:
                result.forked |= {fork.request_id: TOKEN for fork in row.request.forks}
        if moves is not NO_MOVES and moves.num_swapped and self._transfer_seconds is not None:
            size = self.bytes_per_block
            waited = moves.num_swapped - moves.early
            result.transfer_seconds = self._transfer_seconds(waited * size) if waited else 0.0
            beside = self._transfer_seconds(moves.early * size) if moves.early else 0.0
            result.seconds = result.transfer_seconds + max(seconds, beside)
        return result
