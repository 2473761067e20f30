"""Rank 0's end of a tensor-parallel model: orders to all ranks, and how it all ends."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from subprocess import Popen, TimeoutExpired
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from minillm.execution.loaded_model import ModelError
from minillm.execution.tensor_parallel.seats import Seat, ShardError, answer_calls, start_workers

COLLECTIVE_TIMEOUT = 300.0  # seconds until a rank gives up waiting for another
GRACE = 5.0  # seconds for the others to say what is wrong, and to end

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """Call this method of each rank's `Shard`."""

    method: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an order was not carried out: a rank's reply when its method raised."""

    message: str
    traceback: str = ""
    refused: bool = False  # it was a ModelError
    silent: bool = False  # there is no reply


class ShardGroup:
    """`size` processes that compute as one; this one is rank 0.

    Whatever goes wrong on any rank ends all of them: ranks that are not in the same place of the
    same forward would wait for each other. From then on `everywhere` raises ShardError. Only a
    model that all ranks refuse leaves them as they were.
    """

    def __init__(self, size: int, backend: str, *, timeout: float = COLLECTIVE_TIMEOUT) -> None:
        """Start the processes, or find them there under torchrun. `backend`: "gloo" or "nccl".
        Raises ShardError when they do not come up, ModelError where they cannot."""
        if dist.is_initialized():
            raise ModelError(
                "torch.distributed is in use in this process already, and has room for one "
                "tensor-parallel model at a time. Close the other one first."
            )
        self.size = size
        self.numbers = count()  # one for each executor, its name on every rank
        self.executors: weakref.WeakSet[Any] = weakref.WeakSet()  # those still in use
        self._lock = threading.RLock()
        self._timeout = timeout
        processes: list[Popen[bytes]] = []
        lines: list[Connection] = []
        self.processes = processes
        self._end = weakref.finalize(self, _end, lines, processes)
        try:
            if dist.is_torchelastic_launched():
                seat = Seat.given()
            else:
                seat, started = start_workers(size)
                processes += started
            lines += answer_calls(seat, processes)
            self._lines = lines
            self.everywhere(
                Order("join", (backend, timeout, torch.get_num_threads())),
                lambda: seat.join(backend, timeout),
            )
        except BaseException:
            self.close()
            raise

    def everywhere(self, order: Order, here: Callable[[], T]) -> list[T]:
        """Have every other rank carry out `order` while `here` does rank 0's part of it; the
        results, rank 0's first. Raises what `here` raised, ShardError when another rank failed."""
        with self._lock:
            if not self._end.alive:
                raise ShardError(
                    "the processes of this tensor-parallel model have ended: load it anew."
                )
            try:
                for line in self._lines:
                    line.send(order)
                mine = here()
                replies = [_reply(line, self._timeout) for line in self._lines]
            except Exception as error:
                told = self._ended(error)
                if told is error:
                    raise
                raise told from error
            except BaseException:  # interrupted: this rank has left the others alone in a forward
                self._kill(range(1, self.size))
                self.close()
                raise
            if any(isinstance(reply, Failure) for reply in replies):
                raise self._ended(None, replies)
            return [mine, *replies]

    def close(self) -> None:
        """End the other processes. Nothing happens the second time."""
        self._end()

    def _kill(self, ranks: Iterable[int]) -> None:
        """These will not end by themselves: they wait in a forward for ranks that have left it.
        Under torchrun that is left to torchrun."""
        for rank in ranks if self.processes else ():
            self.processes[rank - 1].kill()

    def _ended(self, error: Exception | None, replies: Sequence[Any] = ()) -> Exception:
        """End everything; what to raise: another rank's failure where there is one, for then it is
        the cause of rank 0's."""
        if error is not None:
            deadline = time.monotonic() + GRACE
            replies = [_reply(line, deadline - time.monotonic()) for line in self._lines]
            if isinstance(error, ModelError) and all(
                isinstance(reply, Failure) and reply.refused for reply in replies
            ):
                return error
        failures = [(rank, r) for rank, r in enumerate(replies, 1) if isinstance(r, Failure)]
        loud = [(rank, failure) for rank, failure in failures if not failure.silent]
        self._kill(set(range(1, self.size)) - {rank for rank, _ in loud})
        self.close()
        if error is not None and not loud:
            return error
        rank, failure = (loud or failures)[0]
        told = ShardError(f"rank {rank} of {self.size} failed: {failure.message}")
        if failure.traceback:
            told.add_note(f"On rank {rank}:\n{failure.traceback}")
        return told


def _reply(line: Connection, patience: float) -> Any:
    """A rank's answer to the last order; a Failure where it has none."""
    try:
        if not line.poll(max(0.0, patience)):
            return Failure(f"it did not answer within {patience:.0f} s", silent=True)
        return line.recv()
    except (EOFError, OSError):
        return Failure("its process ended without a word (killed, or out of memory?)")


def _end(lines: list[Connection], processes: list[Popen[bytes]]) -> None:
    """Closed lines tell the other ranks to end. A rank that is stuck is killed."""
    for line in lines:
        with suppress(OSError):
            line.close()
    if dist.is_initialized():
        dist.destroy_process_group()
    deadline = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except TimeoutExpired:
            process.kill()
            process.wait()


def check_platform() -> None:
    """ModelError where tensor parallelism cannot run at all."""
    if sys.platform != "linux" or not dist.is_available():
        raise ModelError(
            "tensor_parallel needs Linux and a torch with torch.distributed. Leave it at 1 here."
        )
