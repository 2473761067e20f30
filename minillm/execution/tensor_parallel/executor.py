"""The executor of a tensor-parallel model: each rank's `TorchExecutor`, a step at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minillm.execution.batch import AttentionRead, Result, Row
from minillm.execution.kv_tensors import blocks_that_fit
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.tensor_parallel.group import Order
from minillm.execution.tensor_parallel.rows import RowSender
from minillm.execution.torch_executor import TorchExecutor
from minillm.moves import NO_MOVES, BlockMoves


class TensorParallelExecutor:
    """As `TorchExecutor`, on all ranks of `loaded.group`. Every rank keeps K and V of its own
    heads under the same block ids; tokens are sampled here, on rank 0."""

    def __init__(self, loaded: LoadedModel, **settings: Any) -> None:
        """`settings` are those of `TorchExecutor`."""
        assert loaded.group is not None
        self._group = loaded.group
        self._number = next(self._group.numbers)
        self._sender = RowSender()
        alive = [executor._number for executor in self._group.executors]
        order = Order("new_executor", (self._number, alive, settings))
        self.local = self._group.everywhere(order, lambda: TorchExecutor(loaded, **settings))[0]
        self._group.executors.add(self)

    def execute(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Result:
        """See `Executor`. ShardError when a rank failed: then all have ended."""
        order = Order("execute", (self._number, self._sender.updates(rows), moves))
        return self._group.everywhere(order, lambda: self.local.execute(rows, moves))[0]

    @property
    def on_attention(self) -> Callable[[AttentionRead], None] | None:
        """Told of rank 0's reads; the other ranks read the same blocks."""
        return self.local.on_attention

    @on_attention.setter
    def on_attention(self, tell: Callable[[AttentionRead], None] | None) -> None:
        self.local.on_attention = tell


def blocks_that_fit_all(loaded: LoadedModel, **limits: Any) -> int:
    """`kv_tensors.blocks_that_fit`, of the rank with the least room; ranks on the CPU share its
    memory."""
    assert loaded.group is not None
    fits = loaded.group.everywhere(
        Order("blocks_that_fit", (limits,)), lambda: blocks_that_fit(loaded, **limits)
    )
    return min(fits) // (loaded.group.size if loaded.device.type == "cpu" else 1)
