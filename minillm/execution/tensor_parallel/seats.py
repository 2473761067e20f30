"""Which process is which rank, and the lines between rank 0 and the others.

Ranks meet at a store of torch (`TCPStore`). Rank 0 opens it and starts the others as processes of
its own, with the environment that torchrun gives; under torchrun all of that is there already.
Orders go over a unix socket to each rank, so that one that waits for its next order needs no
time-out, and the end of either process is seen by the other at once.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import torch.distributed as dist

if TYPE_CHECKING or dist.is_available():  # a torch without it serves models that are not split
    from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[reportPrivateImportUsage]
    from torch.distributed.rendezvous import rendezvous

START_PATIENCE = 180.0  # seconds for a process to import torch and to call
ADDRESS = "minillm/control"
PACKAGES = str(Path(__file__).parents[3])  # the folder that minillm is in
WORKER = "minillm.execution.tensor_parallel.worker"


class ShardError(RuntimeError):
    """A rank of a tensor-parallel model failed or is gone; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One rank of `size`, and the store where all of them meet."""

    rank: int
    size: int
    store: Store

    @classmethod
    def given(cls) -> Seat:
        """The seat that the environment assigns: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT."""
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        patience = timedelta(seconds=START_PATIENCE)
        store, rank, size = next(rendezvous("env://", rank, size, timeout=patience))
        return cls(rank, size, store)

    def join(self, backend: str, timeout: float) -> None:
        """Become a member of the process group. A collective that takes longer than `timeout`
        seconds raises."""
        dist.init_process_group(
            backend,
            store=PrefixStore("minillm", self.store),
            rank=self.rank,
            world_size=self.size,
            timeout=timedelta(seconds=timeout),
        )


def start_workers(size: int) -> tuple[Seat, list[subprocess.Popen[bytes]]]:
    """Rank 0's seat, and size − 1 new processes on their way to the others."""
    store = TCPStore(
        "127.0.0.1",
        0,
        size,
        is_master=True,
        wait_for_workers=False,
        timeout=timedelta(seconds=START_PATIENCE),
    )
    common = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (PACKAGES, os.environ.get("PYTHONPATH")))),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
    }
    processes = []
    for rank in range(1, size):
        environment = {**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        # -P: what lies in the current folder is not imported in place of a package
        command = [sys.executable, "-P", "-m", WORKER]
        processes.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL))
    return Seat(0, size, store), processes


def answer_calls(
    seat: Seat, processes: Sequence[subprocess.Popen[bytes]], patience: float = START_PATIENCE
) -> list[Connection]:
    """Wait until every other rank has called; the line to rank i + 1 at place i. ShardError when
    one of `processes` ends before, or none calls for `patience` seconds."""
    lines: dict[int, Connection] = {}
    deadline = time.monotonic() + patience
    with (
        tempfile.TemporaryDirectory(prefix="minillm-") as folder,  # for this user alone
        socket.socket(socket.AF_UNIX) as listener,
    ):
        address = os.path.join(folder, "control")
        listener.bind(address)
        listener.listen(seat.size)
        listener.settimeout(0.2)
        seat.store.set(ADDRESS, address)
        while len(lines) < seat.size - 1:
            try:
                line = Connection(listener.accept()[0].detach())
            except TimeoutError:
                _check_start(processes, lines, seat.size, deadline)
                continue
            lines[line.recv()] = line
    return [lines[rank] for rank in range(1, seat.size)]


def call(seat: Seat) -> Connection:
    """This rank's line to rank 0."""
    address = seat.store.get(ADDRESS).decode()
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(address)
    line = Connection(caller.detach())
    line.send(seat.rank)
    return line


def _check_start(
    processes: Sequence[subprocess.Popen[bytes]],
    lines: dict[int, Connection],
    size: int,
    deadline: float,
) -> None:
    for rank, process in enumerate(processes, start=1):
        if process.poll() is not None:
            raise ShardError(
                f"the process of rank {rank} ended with exit code {process.returncode} before it "
                "was ready; its own message stands above."
            )
    if time.monotonic() > deadline:
        missing = sorted(set(range(1, size)) - lines.keys())
        raise ShardError(f"nothing was heard from rank {missing} within {START_PATIENCE:.0f} s.")
