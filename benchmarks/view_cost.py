"""What it costs the engine's process that somebody watches a live run.

In interleaved pairs the same drawn requests are served by the pocket model at full speed, once
watched and once not. Watched: the Live page is run again every 0.2 s, as its stage ticks. That is
Streamlit's own test client, so the browser's share is not in the figures, and a tick runs the whole
page (bar and stage, the rest is hidden) where a browser asks for the stage alone: `engine_slowdown`
is an upper bound.

`view_share` is the CPU time of the tick (taking over the new steps, handing them to the stage, the
line below it) over the CPU time of the engine's thread, %; `engine_slowdown` is how much longer
the engine's steps take than in the unwatched run of the pair, %.

    python benchmarks/view_cost.py [--pairs 5] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from streamlit.testing.v1 import AppTest

from minillm.bench.machine import machine
from minillm.workload import RequestSpec
from minillm.workload.saved import to_link

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "view_cost.json"
GOAL = 3.0  # % of the engine thread's CPU time
TICK = 0.2  # s
REQUESTS = tuple(
    RequestSpec(arrival_time=0.02 * i, prompt_len=100, output_len=400) for i in range(16)
)


def serve(watched: bool) -> dict[str, float]:
    """One run to its end: CPU seconds of engine and view, and the engine's own seconds."""
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
    at.query_params.update({"scene": "static", "scheduler": "orca", "pace": "full"})
    at.query_params["hide"] = "nav,question,figures"
    at.query_params["requests"] = to_link(REQUESTS)
    at.run()
    at.button(key="run").click().run()
    assert not at.exception, at.exception
    shown = at.session_state["session"].shown
    shown.view_seconds = 0.0
    before = shown.run.cpu_seconds
    while not shown.run.idle:
        time.sleep(TICK)
        if watched:
            at.run()
    shown.run.close()
    steps = shown.run.recorder.trace.steps
    return {
        "engine_cpu_s": shown.run.cpu_seconds - before,
        "view_cpu_s": shown.view_seconds,
        "engine_s": sum(step.duration for step in steps) / 1e9,
        "steps": len(steps),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "app"))
    serve(watched=True)  # loads the model, warms up
    pairs: list[dict[str, Any]] = []
    for number in range(given.pairs):
        order = (True, False) if number % 2 else (False, True)
        runs = {watched: serve(watched) for watched in order}
        seen, unseen = runs[True], runs[False]
        pairs.append(
            {
                "watched": seen,
                "unwatched": unseen,
                "view_share": seen["view_cpu_s"] / seen["engine_cpu_s"] * 100,
                "engine_slowdown": (seen["engine_s"] / unseen["engine_s"] - 1) * 100,
            }
        )
        print(f"{pairs[-1]['view_share']:.2f} %, {pairs[-1]['engine_slowdown']:+.1f} %", flush=True)
    result = {
        "benchmark": "view_cost",
        "machine": machine(torch.device("cpu")),
        "load": round(os.getloadavg()[0], 1),
        "goal_view_share": GOAL,
        "median_view_share": statistics.median(pair["view_share"] for pair in pairs),
        "median_engine_slowdown": statistics.median(pair["engine_slowdown"] for pair in pairs),
        "pairs": pairs,
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
