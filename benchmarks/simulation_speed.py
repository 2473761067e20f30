"""How many requests per second `simulate` serves, and that time grows linearly with their number.

512 tokens in, 128 out, 6 requests per second (Poisson), Llama-2-7B on A100, `sarathi` with a
budget of 512. Two figures per run: by the wall clock, and by this process's CPU time, which other
work on the machine disturbs less. The best of some repetitions counts. One process, one thread.
`uncached` is without prefix caching, which looks for something to share although nothing is.
`long` runs stream their steps to a file, each in a process of its own: time, and peak memory.

    python benchmarks/simulation_speed.py [--requests 2000] [--repeat 3] [--out FILE.json]
                                          [--long 10000 100000]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.progress import track

from minillm import simulate
from minillm.workload import RequestSpec, synthetic

GOALS = {"summary": 4000, "recorded": 2000}  # requests per second on two idle cores


def once(workload: list[RequestSpec], record: Any, **settings: Any) -> dict[str, float]:
    """One run: requests per second of wall and of CPU time, and steps."""
    wall, cpu = time.perf_counter(), time.process_time()
    run = simulate(
        workload,
        "llama-2-7b",
        "a100-80gb",
        "sarathi",
        record=record,
        max_num_batched_tokens=512,
        **settings,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert run.metrics()["completed"] == len(workload)
    steps = len(run.steps) if record is True else run.num_steps
    return {"wall": len(workload) / wall, "cpu": len(workload) / cpu, "steps": steps}


def best(
    workload: list[RequestSpec], record: Any, repeat: int, what: str, **settings: Any
) -> dict[str, float]:
    runs = [once(workload, record, **settings) for _ in track(range(repeat), description=what)]
    return {
        "requests_per_second": round(max(run["wall"] for run in runs)),
        "requests_per_cpu_second": round(max(run["cpu"] for run in runs)),
        "steps_per_request": round(runs[0]["steps"] / len(workload), 2),
    }


def long_run(count: int) -> dict[str, float]:
    """One streamed run of `count` requests in a process of its own."""
    child = [sys.executable, __file__, "--child", str(count)]
    return json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)


def child(count: int) -> None:
    workload = synthetic(count, (512, 128), rate=6.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        run = once(workload, path)
        size = path.stat().st_size
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB
    result = {
        "requests": count,
        "requests_per_second": round(run["wall"]),
        "requests_per_cpu_second": round(run["cpu"]),
        "memory_grown_mb": round(grown / 1e3, 1),
        "file_mb": round(size / 1e6, 1),
    }
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--long", type=int, nargs="*", default=[])
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
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
            "uncached": best(
                workload, False, options.repeat, "uncached", enable_prefix_caching=False
            ),
            "recorded": best(workload, True, options.repeat, "recorded"),
            "streamed": best(workload, Path(folder) / "run.jsonl", options.repeat, "streamed"),
            "long": [long_run(count) for count in options.long],
            "goals": GOALS,
        }
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
