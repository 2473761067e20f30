"""What recording costs the engine, on the pocket model.

Pairs of the same workload, one recorded to memory and file, one not, run alternately in one thread.
Two figures per pair, both in processor time of that thread, so that other work on the machine does
not count: the share, time inside `Recorder.on_step` over the thread's time of the recorded run; and
the pair, the recorded run's time over the unrecorded run's, minus one (noisier; a cross-check).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minillm.build import build_engine, header_of
from minillm.events import Step
from minillm.execution.loaded_model import LoadedModel
from minillm.trace.recorder import Recorder
from minillm.workload import RequestSpec, WorkloadDriver

GOAL = 0.03  # of the engine thread's time


@dataclass(frozen=True, slots=True)
class Recording:
    """Per pair: the recorder's share, the recorded run over the other minus one, and the recorder's
    seconds per step."""

    shares: list[float]
    pairs: list[float]
    seconds_per_step: list[float]

    @property
    def share(self) -> float:
        return statistics.median(self.shares)

    def plain(self) -> dict[str, Any]:
        return {
            "pairs": len(self.pairs),
            "share_median": self.share,
            "share_max": max(self.shares),
            "pair_median": statistics.median(self.pairs),
            "recorder_us_per_step_median": statistics.median(self.seconds_per_step) * 1e6,
            "goal": GOAL,
        }


def measure_recording(
    loaded: LoadedModel, pairs: int, on_pair: Callable[[], None] = lambda: None
) -> Recording:
    """`pairs` pairs of runs, after one that does not count."""
    _run(loaded, None)
    found = Recording([], [], [])
    with tempfile.TemporaryDirectory() as folder:
        for index in range(pairs):
            path = Path(folder) / f"{index}.jsonl"
            seconds: dict[bool, float] = {}
            for recorded in (True, False) if index % 2 else (False, True):
                seconds[recorded], inside, steps = _run(loaded, path if recorded else None)
                if recorded:
                    found.shares.append(inside / seconds[recorded])
                    found.seconds_per_step.append(inside / steps)
            found.pairs.append(seconds[True] / seconds[False] - 1)
            on_pair()
    return found


def _workload() -> list[RequestSpec]:
    """24 requests, prompts of 16 to 256 tokens, answers of 16 to 96, in a stream."""
    return [
        RequestSpec(
            arrival_time=0.004 * n,
            prompt_len=16 + (n * 53) % 240,
            output_len=16 + (n * 37) % 80,
        )
        for n in range(24)
    ]


def _run(loaded: LoadedModel, path: Path | None) -> tuple[float, float, int]:
    """(thread seconds, of these in the recorder, steps); recorded to `path` if there is one."""
    engine = build_engine(loaded, "sarathi", num_blocks=400)
    inside = 0.0
    recorder = None
    if path is not None:
        recorder = Recorder(header_of(engine, loaded), path)
        on_step = recorder.on_step

        def timed(step: Step) -> None:
            nonlocal inside
            began = time.thread_time()
            on_step(step)
            inside += time.thread_time() - began

        engine.hooks.on("step", timed)
    driver = WorkloadDriver(engine, _workload())
    steps = 0
    began = time.thread_time()
    while not driver.finished:
        driver.step()
        steps += 1
    total = time.thread_time() - began
    if recorder is not None:
        recorder.close(time=engine.clock.now)
    return total, inside, steps
