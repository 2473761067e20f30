"""Sweeps: many simulated runs, on all cores, kept as they come.

Each cell of a sweep is one run. Its result is one file in a folder, named by a hash of everything
the result depends on, so that a sweep that was interrupted, or grew, computes only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from minillm.bench.datasets import WorkloadSettings
from minillm.bench.processes import Failed, each_in_processes
from minillm.bench.result import plain
from minillm.bench.settings import SystemSettings, check_rate
from minillm.config import ConfigError
from minillm.scheduling import make_scheduler
from minillm.version import __version__

Row = dict[str, Any]
"""Settings and figures of one cell."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One scheduler at one request rate (requests per second)."""

    scheduler: str
    request_rate: float
    system: SystemSettings
    workload: WorkloadSettings
    goodput: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        make_scheduler(self.scheduler)  # says what is wrong with the name
        check_rate(self.request_rate)

    @cached_property
    def key(self) -> str:
        """The same for the same version of minillm, settings and data."""
        identity = {
            "version": __version__,
            "scheduler": self.scheduler,
            "request_rate": self.request_rate,
            "system": self.system.identity(),
            "workload": self.workload.identity(),
            "goodput": dict(self.goodput),
        }
        text = json.dumps(identity, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def run(self) -> Row:
        """Simulate it. The row has all figures of `metrics()`, for JSON and tables."""
        requests = self.workload.requests(self.request_rate)
        run = self.system.run(requests, self.scheduler, seed=self.workload.seed)
        settings = {
            "scheduler": self.scheduler,
            "request_rate": self.request_rate,
            **asdict(self.system),
            **asdict(self.workload),
            **{f"goodput_{name}_ms": limit for name, limit in self.goodput.items()},
            "num_prompts": len(requests),
            "version": __version__,
        }
        return plain({**settings, **run.metrics(self.goodput)})


@dataclass(frozen=True, slots=True)
class Failure:
    """A cell that could not be computed, and why."""

    cell: Cell
    error: str


class Sweep:
    """`cells`, with their results in `folder`. Raises ConfigError where that is no folder."""

    def __init__(self, cells: Sequence[Cell], folder: Path) -> None:
        self.cells = list(cells)
        self.folder = folder
        self.rows: dict[str, Row] = {}
        self.failures: list[Failure] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot keep results in {folder}: {error.strerror or error}"
            ) from None
        self.load()

    def load(self) -> None:
        """Take the results that the folder has."""
        for cell in self.cells:
            row = _read(self._path(cell))
            if row is not None:
                self.rows[cell.key] = row

    @property
    def missing(self) -> list[Cell]:
        """The cells still to be computed."""
        return [cell for cell in self.cells if cell.key not in self.rows]

    def run(
        self,
        *,
        processes: int | None = None,
        on_cell: Callable[[Cell, Row | Failure], None] = lambda cell, outcome: None,
    ) -> list[Row]:
        """Compute what is missing, in `processes` (by default one per core), and return all rows
        in the order of the cells. A cell that raises, or whose process dies, becomes a failure
        and the others go on. An interrupt ends the processes; what is finished is kept."""
        self.failures.clear()
        missing = {cell.key: cell for cell in self.missing}
        jobs = [(cell, self._path(cell)) for cell in missing.values()]
        outcomes = each_in_processes(_compute, jobs, processes or cores())
        try:
            with closing(outcomes):
                for (cell, _), outcome in outcomes:
                    if isinstance(outcome, Failed):
                        self.failures.append(Failure(cell, outcome.error))
                        on_cell(cell, self.failures[-1])
                    else:
                        self.rows[cell.key] = outcome
                        on_cell(cell, outcome)
        finally:
            self.load()  # a process may have kept a row and not have told yet
        return list(self)

    def __iter__(self) -> Iterator[Row]:
        return (self.rows[cell.key] for cell in self.cells if cell.key in self.rows)

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{cell.key}.json"


def cores() -> int:
    """Those this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _compute(job: tuple[Cell, Path]) -> Row:
    """In a process of its own: run the cell and keep its row at once."""
    cell, path = job
    row = cell.run()
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(row, allow_nan=False) + "\n", "utf-8")
    unfinished.replace(path)  # whole or not at all
    return row


def _read(path: Path) -> Row | None:
    """A row kept before; what cannot be read is computed anew."""
    try:
        row = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) else None
