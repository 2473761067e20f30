"""A function applied to many things in processes of their own, where each may fail alone.

Unlike `concurrent.futures`, the death of a process (killed for memory, say) costs only what it was
working on.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome of a job that raised, or whose process died."""

    error: str


def each_in_processes(
    function: Callable[[Job], Outcome], jobs: Iterable[Job], processes: int
) -> Generator[tuple[Job, Outcome | Failed], None, None]:
    """Pairs of job and outcome, in the order they are done. `function` must be importable by name,
    jobs and outcomes picklable. Closing the generator ends the
    processes."""
    waiting = deque(jobs)
    workers: dict[Any, _Worker[Job]] = {}
    try:
        for _ in range(min(processes, len(waiting))):
            worker = _Worker(function, waiting.popleft())
            workers[worker.pipe] = worker
        while workers:
            for pipe in wait(list(workers)):
                worker = workers[pipe]
                job, outcome = worker.job, worker.outcome()
                if waiting and worker.alive:
                    worker.give(waiting.popleft())
                else:
                    workers.pop(pipe).end()
                    if waiting:
                        worker = _Worker(function, waiting.popleft())
                        workers[worker.pipe] = worker
                yield job, outcome
    finally:
        for worker in workers.values():
            worker.end()


class _Worker(Generic[Job]):
    """One process, and the job it has."""

    def __init__(self, function: Callable[[Job], Any], job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(function, theirs), daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe ends when the process does
        self.alive = True
        self.give(job)

    def give(self, job: Job) -> None:
        self.job = job
        with suppress(ConnectionError):  # it died: `outcome` will tell
            self.pipe.send(job)

    def outcome(self) -> Any:
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.alive = False
            self._process.join()
            return Failed(f"its process ended with exit code {self._process.exitcode}")

    def end(self) -> None:
        self._process.terminate()
        self._process.join()
        self.pipe.close()


def _work(function: Callable[[Any], Any], pipe: Connection) -> None:
    """The process: one job after the other, until it is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's business
    with suppress(EOFError):  # the parent is gone
        while True:
            job = pipe.recv()
            try:
                outcome = function(job)
            except Exception as error:  # as text: not every exception survives pickling
                outcome = Failed(f"{type(error).__name__}: {error}")
            pipe.send(outcome)
