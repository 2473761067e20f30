"""How many requests per second `simulate` serves, and that time grows linearly with their number.

512 tokens in, 128 out, 6 requests per second (Poisson), Llama-2-7B on A100, `sarathi` with a
budget of 512. Two figures per run: by the wall clock, and by this process's CPU time, which other
work on the machine disturbs less. The best of some repetitions counts. One process, one thread.

    python benchmarks/simulation_speed.py [--requests 2000] [--repeat 3] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.progress import track

from minillm import simulate
from minillm.workload import RequestSpec, synthetic

GOALS = {"summary": 4000, "recorded": 2000}  # requests per second on two idle cores


def once(workload: list[RequestSpec], record: Any) -> dict[str, float]:
    """One run: requests per second of wall and of CPU time, and steps."""
    wall, cpu = time.perf_counter(), time.process_time()
    run = simulate(
        workload,
        "llama-2-7b",
        "a100-80gb",
        "sarathi",
        record=record,
        max_num_batched_tokens=512,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert run.metrics()["completed"] == len(workload)
    steps = len(run.steps) if record is True else run.num_steps
    return {"wall": len(workload) / wall, "cpu": len(workload) / cpu, "steps": steps}


def best(workload: list[RequestSpec], record: Any, repeat: int, what: str) -> dict[str, float]:
    runs = [once(workload, record) for _ in track(range(repeat), description=what)]
    return {
        "requests_per_second": round(max(run["wall"] for run in runs)),
        "requests_per_cpu_second": round(max(run["cpu"] for run in runs)),
        "steps_per_request": round(runs[0]["steps"] / len(workload), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    workload = synthetic(options.requests, (512, 128), rate=6.0)
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "benchmark": "simulation_speed",
            "machine": f"{platform.machine()}, Python {platform.python_version()}, "
            f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
            "requests": options.requests,
            "summary": best(workload, False, options.repeat, "summary"),
            "summary_a_quarter": best(
                workload[: options.requests // 4], False, options.repeat, "a quarter"
            ),
            "recorded": best(workload, True, options.repeat, "recorded"),
            "streamed": best(workload, Path(folder) / "run.jsonl", options.repeat, "streamed"),
            "goals": GOALS,
        }
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
