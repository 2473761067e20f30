"""What recording costs the engine, on the pocket model.

Pairs of the same workload, one recorded to memory and file, one not, run alternately in one
thread. Two figures per pair, both in CPU time of that thread (`time.thread_time`), so that other
work on the machine does not count:

* share: time inside `Recorder.on_step` over the thread's time of the recorded run;
* pair: the recorded run's time over the unrecorded run's, minus one (noisier; a cross-check).

    python benchmarks/recording_overhead.py [--pairs 20] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch
from rich.progress import track

from minillm.build import build_engine, header_of
from minillm.execution.loader import load_model
from minillm.trace.recorder import Recorder
from minillm.workload import RequestSpec, WorkloadDriver

GOAL = 0.05


def workload() -> list[RequestSpec]:
    """24 requests, prompts of 16 to 256 tokens, answers of 16 to 96, in a stream."""
    return [
        RequestSpec(
            arrival_time=0.004 * n,
            prompt_len=16 + (n * 53) % 240,
            output_len=16 + (n * 37) % 80,
        )
        for n in range(24)
    ]


def run(loaded: object, path: Path | None) -> tuple[float, float, int]:
    """(thread seconds, of these in the recorder, steps); recorded to `path` if there is one."""
    engine = build_engine(loaded, "sarathi", num_blocks=400)  # type: ignore[arg-type]
    inside = 0.0
    recorder = None
    if path is not None:
        recorder = Recorder(header_of(engine, loaded), path)  # type: ignore[arg-type]
        on_step = recorder.on_step

        def timed(step: object) -> None:
            nonlocal inside
            began = time.thread_time()
            on_step(step)  # type: ignore[arg-type]
            inside += time.thread_time() - began

        engine.hooks.on("step", timed)
    driver = WorkloadDriver(engine, workload())
    steps = 0
    began = time.thread_time()
    while not driver.finished:
        driver.step()
        steps += 1
    total = time.thread_time() - began
    if recorder is not None:
        recorder.close(time=engine.clock.now)
    return total, inside, steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_model("pocket", device="cpu", dtype="float32")
    run(loaded, None)
    shares: list[float] = []
    pairs: list[float] = []
    per_step: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for index in track(range(options.pairs), description="pairs"):
            path = Path(folder) / f"{index}.jsonl"
            both = [(True, path), (False, None)][:: 1 if index % 2 else -1]
            seconds: dict[bool, float] = {}
            for recorded, where in both:
                seconds[recorded], inside, steps = run(loaded, where)
                if recorded:
                    shares.append(inside / seconds[recorded])
                    per_step.append(inside / steps)
            pairs.append(seconds[True] / seconds[False] - 1)
    result = {
        "benchmark": "recording_overhead",
        "machine": f"{platform.machine()}, one torch thread, torch {torch.__version__}",
        "pairs": options.pairs,
        "share_median": statistics.median(shares),
        "share_max": max(shares),
        "pair_median": statistics.median(pairs),
        "recorder_us_per_step_median": statistics.median(per_step) * 1e6,
        "goal": GOAL,
    }
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
