"""The other end: a rank that carries out rank 0's orders until rank 0 is gone."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import torch
import torch.distributed as dist

from minillm.execution.kv_tensors import blocks_that_fit
from minillm.execution.loaded_model import LoadedModel, ModelError
from minillm.execution.tensor_parallel.group import Failure
from minillm.execution.tensor_parallel.rows import RowReceiver, RowUpdate
from minillm.execution.tensor_parallel.seats import Seat, call
from minillm.execution.torch_executor import TorchExecutor
from minillm.moves import BlockMoves


class Shard:
    """What one rank has: its share of the weights, and of each engine's KV cache. Its methods are
    the orders that rank 0 can give."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self._loaded: LoadedModel | None = None
        self._executors: dict[int, tuple[TorchExecutor, RowReceiver]] = {}

    @property
    def loaded(self) -> LoadedModel:
        assert self._loaded is not None, "an order came before a model"
        return self._loaded

    def join(self, backend: str, timeout: float, num_threads: int) -> None:
        """Compute with as many CPU threads as rank 0, and become one of the group."""
        torch.set_num_threads(num_threads)
        self.seat.join(backend, timeout)

    def load(self, model: str, device: str, dtype: str) -> None:
        """This rank's share of `model`; what was loaded before is dropped."""
        from minillm.execution.loader import load_shard

        self._executors.clear()
        self._loaded = None
        self._loaded = load_shard(
            model, device=device, dtype=dtype, rank=self.seat.rank, size=self.seat.size
        )

    def blocks_that_fit(self, limits: dict[str, float]) -> int:
        """See `kv_tensors.blocks_that_fit`; for this rank's memory and its share of the heads."""
        return blocks_that_fit(self.loaded, **limits)  # type: ignore[arg-type]

    def new_executor(self, number: int, alive: Sequence[int], settings: dict[str, object]) -> None:
        """Make the KV tensors of one more engine; drop those of engines not `alive` any more."""
        self._executors = {n: e for n, e in self._executors.items() if n in alive}
        executor = TorchExecutor(self.loaded, **settings)  # type: ignore[arg-type]
        self._executors[number] = executor, RowReceiver()

    def execute(self, number: int, updates: Sequence[RowUpdate], moves: BlockMoves) -> None:
        """One step of engine `number`. Rank 0 samples: here rows are greedy, tokens dropped."""
        executor, receiver = self._executors[number]
        executor.execute(receiver.rows(updates), moves)


def serve(seat: Seat) -> int:
    """Carry out orders until rank 0 closes its line; the exit code: 1 when one of them failed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: rank 0 decides
    line = call(seat)
    shard = Shard(seat)
    while True:
        try:
            order = line.recv()
        except (EOFError, OSError):
            break
        failure = None
        try:
            reply = getattr(shard, order.method)(*order.arguments)
        except Exception as error:
            reply = failure = Failure(
                f"{type(error).__name__}: {error}",
                traceback.format_exc(),
                isinstance(error, ModelError),
            )
        try:
            line.send(reply)
        except OSError:  # rank 0 is gone; it failed before this rank did
            return 1
        if failure is not None and not failure.refused:
            return 1
    if dist.is_initialized():
        dist.destroy_process_group()
    return 0


def main() -> NoReturn:
    """`python -m …`: the process of one rank, and its end."""
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()
    code = serve(Seat.given())
    sys.stderr.flush()
    os._exit(code)  # at once: after a failure a clean end would wait for ranks that are gone


if __name__ == "__main__":
    main()
