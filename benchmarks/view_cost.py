"""What it costs the engine's process that somebody watches a live run in a browser.

In interleaved pairs the same drawn requests are served by the pocket model at full speed, once with
the Live page open in a headless Chromium and once with the same tab on the Glossary, where nothing
follows the run. `minillm app` serves both. All threads of its process are counted: `view_share` is
the CPU time that is not the engine thread's in the watched run, less that in as long a time of the
unwatched one (which pays for the reading of the figures, too), over that of the watched engine's
thread, %. `engine_slowdown` is how much more CPU time a step took the engine's thread.

    OMP_NUM_THREADS=1 python benchmarks/view_cost.py [--pairs 5] [--pace full] [--out FILE.json]

torch's own pool would be counted as view, hence its one thread. `--pace 8` shows what is left when
the engine mostly rests.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import torch
from playwright.sync_api import Browser, Page, sync_playwright

from minillm.bench.machine import machine
from minillm.workload import RequestSpec
from minillm.workload.saved import to_link

RESULT = Path(__file__).parent / "results" / "view_cost.json"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
GOAL = 3.0  # % of the engine thread's CPU time
WARM, WINDOW = 2.0, 12.0  # s: not measured, measured
PATIENCE = 120_000  # ms
READ = (  # what the stage draws, by its own account
    "JSON.parse([...document.querySelectorAll('*')].map(node => node.shadowRoot"
    "?.querySelector('.minillm-readout')?.textContent).find(Boolean) ?? '{}')"
)
REQUESTS = tuple(
    RequestSpec(arrival_time=0.02 * i, prompt_len=100, output_len=1200) for i in range(32)
)


@contextmanager
def served() -> Iterator[str]:
    """The app's address while it runs."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "minillm", "app", "--no-browser", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("localhost", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        server.wait(20)


def cpu(status: Page, address: str) -> tuple[float, float, int]:
    """CPU seconds of the process and of its engine threads, and the engine's steps."""
    status.goto(f"{address}/status?lang=en")
    line = status.get_by_test_id("status-cpu")
    line.wait_for(timeout=PATIENCE)
    process, engines = map(float, re.findall(r"[\d.]+", line.inner_text()))
    engine = re.search(r"(\d+) steps, playing", status.get_by_test_id("status-engine").inner_text())
    assert engine is not None, "the engine rests: give it more to do"
    return process, engines, int(engine[1])


def serve(browser: Browser, address: str, watched: bool, pace: str) -> dict[str, float]:
    """CPU seconds of engine and view in a window of one run."""
    query = {"scene": "static", "scheduler": "orca", "pace": pace, "lang": "en"}
    query["requests"] = to_link(REQUESTS)
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    status = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script("localStorage.setItem('minillm-tour', 'seen')")
    page.goto(f"{address}/?{urlencode(query)}")
    page.get_by_role("button", name="Run live", exact=True).click()
    page.wait_for_function(f"() => {READ}.live")
    if not watched:
        page.get_by_role("link", name="Glossary").first.click()
        page.wait_for_url("**/glossary*")
    time.sleep(WARM)
    before = cpu(status, address)
    time.sleep(WINDOW)
    after = cpu(status, address)
    if watched:  # a stage that has come to a stop costs nothing
        page.wait_for_function(f"() => ({READ}).length >= {after[2]}", timeout=PATIENCE)
    page.close()
    status.close()
    process, engine, steps = (late - early for late, early in zip(after, before, strict=True))
    return {"engine_cpu_s": engine, "other_cpu_s": process - engine, "steps": steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--pace", default="full", help='steps per second, or "full"')
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    pairs: list[dict[str, Any]] = []
    load = os.getloadavg()[0]
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        serve(browser, address, True, given.pace)  # loads the model, warms up
        for number in range(given.pairs):
            order = (True, False) if number % 2 else (False, True)
            runs = {watched: serve(browser, address, watched, given.pace) for watched in order}
            seen, unseen = runs[True], runs[False]
            share = (seen["other_cpu_s"] - unseen["other_cpu_s"]) / seen["engine_cpu_s"] * 100
            pairs.append({"watched": seen, "unwatched": unseen, "view_share": share})
            print(pairs[-1], flush=True)
    result = {
        "benchmark": "view_cost",
        "machine": machine(torch.device("cpu")),
        "load_at_start": round(load, 1),
        "pace": given.pace,
        "goal_view_share": GOAL,
        "median_view_share": statistics.median(pair["view_share"] for pair in pairs),
        "median_engine_slowdown": statistics.median(map(_slowdown, pairs)),
        "pairs": pairs,
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n")


def _slowdown(pair: dict[str, Any]) -> float:
    """How much more CPU time a step takes the engine's thread while it is watched, %."""
    seen, unseen = pair["watched"], pair["unwatched"]
    per_step = [run["engine_cpu_s"] / run["steps"] for run in (seen, unseen)]
    return (per_step[0] / per_step[1] - 1) * 100


if __name__ == "__main__":
    main()
