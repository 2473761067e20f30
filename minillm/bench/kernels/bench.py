"""The whole benchmark, and its result as a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from minillm.bench.kernels.cases import CPU_CASES, GPU_CASES
from minillm.bench.kernels.goals import Verdict, judge
from minillm.bench.kernels.measure import Row, copy_bandwidth, measure, skipped
from minillm.bench.machine import machine
from minillm.config import ConfigError

SECONDS = 480.0  # after which nothing new is begun
NO_GPU = "no CUDA device"


@dataclass(frozen=True, slots=True)
class Result:
    """What one run found on one machine."""

    machine: dict[str, Any]
    copy_bandwidth: float  # bytes read and written per second
    seconds: float  # that the run took
    rows: list[Row]
    verdicts: list[Verdict]

    def plain(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "benchmark": "kernels",
            "machine": self.machine,
            "copy_gb_per_s": self.copy_bandwidth / 1e9,
            "seconds": self.seconds,
            "goals": [verdict.plain() for verdict in self.verdicts],
            "rows": [row.plain() for row in self.rows],
        }

    def save(self, path: Path) -> None:
        """As JSON. Raises ConfigError where `path` cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.plain(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def num_rows(device: torch.device) -> int:
    """How many rows `bench_kernels` gives."""
    cases = GPU_CASES if device.type == "cuda" else (*CPU_CASES, *GPU_CASES)
    return sum(len(case.contenders) for case in cases)


def bench_kernels(
    device: torch.device,
    *,
    seconds: float = SECONDS,
    on_row: Callable[[Row], None] = lambda row: None,
) -> Result:
    """Measure on `device`. A CPU has batches of its own size; what needs a GPU is then listed as
    not measured. Nothing is begun after `seconds`."""
    began = time.monotonic()
    bandwidth = copy_bandwidth(device)
    deadline = began + seconds
    if device.type == "cuda":
        found = measure(GPU_CASES, device, bandwidth, deadline=deadline)
    else:
        on_cpu = measure(CPU_CASES, device, bandwidth, deadline=deadline)
        found = chain(on_cpu, skipped(GPU_CASES, NO_GPU))
    rows = []
    for row in found:
        rows.append(row)
        on_row(row)
    took = time.monotonic() - began
    return Result(machine(device), bandwidth, took, rows, judge(rows))
