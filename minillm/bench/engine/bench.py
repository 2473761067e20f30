"""Rounds of a case, one contender after the other, so that ratios are within one run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from minillm.bench.engine.cases import (
    CONTINUOUS,
    GPU,
    LINEARS,
    MIXED,
    OWN,
    OWN_LINEARS,
    POCKET,
    STATIC,
    Case,
    cpu_has_bf16,
    cpu_mixed,
    cpu_pocket,
    gpu,
)
from minillm.bench.engine.requests import output_tokens
from minillm.bench.engine.stopwatch import Seconds
from minillm.bench.machine import machine
from minillm.config import ConfigError


@dataclass(frozen=True, slots=True)
class Row:
    """One contender: the tokens per second of each round, and of their median."""

    case: str
    contender: str
    rounds: list[float]

    @property
    def tokens_per_s(self) -> float:
        return statistics.median(self.rounds)

    def plain(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "contender": self.contender,
            "tokens_per_s": self.tokens_per_s,
            "rounds": self.rounds,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """minillm's speed over another's, the median of the rounds' ratios, and what it is to be; None
    where it was not measured."""

    case: str
    than: str
    least: float | None
    reached: float | None

    @property
    def word(self) -> str:
        if self.reached is None:
            return "not measured"
        if self.least is None:
            return "no goal"
        return "met" if self.reached >= self.least else "missed"

    def plain(self) -> dict[str, Any]:
        told = {"case": self.case, "than": self.than, "least": self.least, "reached": self.reached}
        return told | {"verdict": self.word}


WARM_UP = 2  # requests
ROOFLINE = "the bandwidth roofline of its decode steps"
GOALS: tuple[tuple[str, str, float | None], ...] = (
    (MIXED, CONTINUOUS, 2.5),
    (MIXED, STATIC, 2.5),
    (MIXED, LINEARS, 0.7),
    (MIXED, OWN_LINEARS, None),
    (POCKET, STATIC, 1.5),
    (GPU, CONTINUOUS, 3.0),
    (GPU, ROOFLINE, 0.6),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What one run found on one machine. `clock`: "cpu" where one thread computes, so that other
    work on the machine does not count; else "wall"."""

    machine: dict[str, Any]
    dtype: str
    clock: str
    rows: list[Row]
    verdicts: list[Verdict]

    def plain(self) -> dict[str, Any]:
        return {
            "benchmark": "engine",
            "machine": self.machine,
            "dtype": self.dtype,
            "clock": self.clock,
            "goals": [verdict.plain() for verdict in self.verdicts],
            "rows": [row.plain() for row in self.rows],
        }

    def save(self, path: Path) -> None:
        """As JSON. Raises ConfigError where `path` cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.plain(), indent=1, ensure_ascii=False)
            path.write_text(text + "\n", "utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def num_runs(device: torch.device, rounds: int) -> int:
    """How often `bench_engine` calls `on_run`."""
    if device.type == "cuda":
        return 2 * rounds
    return (8 if cpu_has_bf16() else 7) * rounds


def bench_engine(
    device: torch.device,
    *,
    rounds: int = 5,
    quick: bool = False,
    on_run: Callable[[str, str, float], None] = lambda case, contender, tokens_per_s: None,
) -> Result:
    """Measure on `device`, after a few requests that do not count. `quick`: fewer on a GPU.
    `on_run(case, contender, tokens per second)` hears of every run."""
    clock = "cpu" if device.type == "cpu" and torch.get_num_threads() == 1 else "wall"
    cases: list[AbstractContextManager[Case]] = [cpu_mixed(), cpu_pocket()]
    if device.type == "cuda":
        cases = [gpu(device, quick)]
    rows: list[Row] = []
    roofline: list[float] = []
    for made in cases:
        with made as case:
            for run in case.contenders.values():
                run(case.requests[:WARM_UP])
            speeds: dict[str, list[float]] = {name: [] for name in case.contenders}
            for _ in range(rounds):
                for name, run in case.contenders.items():
                    seconds = _on(clock, run(case.requests))
                    speeds[name].append(output_tokens(case.requests) / seconds)
                    on_run(case.name, name, speeds[name][-1])
                if case.bytes_per_step:
                    roofline.append(_of_roofline(case, device))
            rows += [Row(case.name, name, found) for name, found in speeds.items()]
    dtype = "bfloat16" if device.type == "cuda" else "float32"
    return Result(machine(device), dtype, clock, rows, judge(rows, roofline))


def judge(rows: list[Row], roofline: list[float]) -> list[Verdict]:
    """Every goal against what was measured; `roofline`: the rounds' fractions of it."""
    found: Mapping[tuple[str, str], Row] = {(row.case, row.contender): row for row in rows}
    verdicts = []
    for case, than, least in GOALS:
        own, other = found.get((case, OWN)), found.get((case, than))
        reached = None
        if than == ROOFLINE and roofline:
            reached = statistics.median(roofline)
        elif own is not None and other is not None:
            pairs = zip(own.rounds, other.rounds, strict=True)
            reached = statistics.median(mine / theirs for mine, theirs in pairs)
        verdicts.append(Verdict(case, than, least, reached))
    return verdicts


def _on(clock: str, seconds: Seconds) -> float:
    return seconds.cpu if clock == "cpu" else seconds.wall


def _of_roofline(case: Case, device: torch.device) -> float:
    """The time that reading weights, keys and values must take at the speed of a copy, over the
    time that the steps of decodes alone took."""
    from minillm.bench.kernels.measure import copy_bandwidth

    contexts, seconds = zip(*case.sizes.decodes, strict=True)
    read = len(contexts) * case.bytes_per_step + sum(contexts) * case.bytes_per_token
    return read / copy_bandwidth(device) / sum(seconds)
