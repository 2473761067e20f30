"""Both overheads, and their result as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from minillm.bench.machine import machine
from minillm.bench.overhead.recording import GOAL as RECORDING_GOAL
from minillm.bench.overhead.recording import Recording, measure_recording
from minillm.bench.overhead.step_cost import (
    CONTEXT,
    FLAT,
    HARDWARE,
    JUDGED,
    MODEL,
    RUNNING,
    StepCost,
    decode_step_seconds,
    measure_step,
)
from minillm.bench.overhead.step_cost import GOAL as STEP_GOAL
from minillm.config import ConfigError
from minillm.execution.loader import load_model


@dataclass(frozen=True, slots=True)
class Overhead:
    """What one run found on one machine."""

    machine: dict[str, Any]
    recording: Recording
    steps: list[StepCost]

    @property
    def share(self) -> float:
        """Scheduler and batch preparation over a decode step of the modelled GPU."""
        return self._at(JUDGED).judged / decode_step_seconds(JUDGED)

    @property
    def growth(self) -> float:
        """Per request, at the largest batch over the judged one."""
        largest, judged = self._at(max(RUNNING)), self._at(JUDGED)
        return (largest.judged / largest.running) / (judged.judged / judged.running)

    def _at(self, running: int) -> StepCost:
        return next(step for step in self.steps if step.running == running)

    @property
    def goals(self) -> list[tuple[str, float, float]]:
        """What, what was reached, and what it is to be at most."""
        step = decode_step_seconds(JUDGED) * 1e3
        return [
            ("recording, of the engine thread's time", self.recording.share, RECORDING_GOAL),
            (
                f"scheduler + batch preparation at {JUDGED} running, of a decode step of {MODEL} "
                f"on {HARDWARE} at its roofline ({step:.1f} ms at {CONTEXT} tokens each)",
                self.share,
                STEP_GOAL,
            ),
            (f"the same per request, at {max(RUNNING):,} over {JUDGED} running", self.growth, FLAT),
        ]

    def plain(self) -> dict[str, Any]:
        return {
            "benchmark": "overhead",
            "machine": self.machine,
            "clock": "cpu time of the engine's thread",
            "recording": self.recording.plain(),
            "context": CONTEXT,
            "decode_step_us": {str(n): decode_step_seconds(n) * 1e6 for n in RUNNING},
            "steps": [step.plain() for step in self.steps],
            "goals": [
                {"what": what, "reached": reached, "most": most, "met": reached <= most}
                for what, reached, most in self.goals
            ],
        }

    def save(self, path: Path) -> None:
        """As JSON. Raises ConfigError where `path` cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.plain(), indent=1, ensure_ascii=False)
            path.write_text(text + "\n", "utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def measure_overhead(
    pairs: int = 20, steps: int = 100, on_part: Callable[[], None] = lambda: None
) -> Overhead:
    """On this machine's CPU, with one torch thread, which stays set. `on_part` is called
    `pairs` + `len(RUNNING)` times."""
    torch.set_num_threads(1)
    loaded = load_model("pocket", device="cpu", dtype="float32")
    recording = measure_recording(loaded, pairs, on_part)
    costs = []
    for running in RUNNING:
        costs.append(measure_step(running, steps))
        on_part()
    return Overhead(machine(torch.device("cpu")), recording, costs)
