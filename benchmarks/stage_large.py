"""How the stage bears a large run: 100,000 steps, 2,000 requests, 16,384 KV blocks, in Chromium.

The run is simulated (Llama-2-7B on A100, `sarathi`), with a load that swells and ebbs, so that
the pool fills up, requests wait and some are preempted. The stage opens as a page of its own in a
headless Chromium without a GPU. Measured: the size of the page; milliseconds from navigation to
the first frame; of seeks to random steps, from the call to the frame that shows it; of selecting
a request, which redraws every block; frames per second while it plays at each speed, with the
longest pause between two frames and the script's own milliseconds in a frame. `cpu` figures are
CPU time of the page's main thread (script, layout and painting), which other work on the machine
disturbs less than time by the clock.

    python benchmarks/stage_large.py [--rounds 3] [--out FILE.json] [--trace FILE.jsonl]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import shutil
import statistics
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from minillm import Trace, simulate
from minillm.workload import RequestSpec

GOALS = {"open_s": 5.0, "seek_ms": 100.0, "frames_per_second": 60.0}
SPEEDS = {"1": "0.25x", "2": "1x", "3": "4x", "4": "max"}  # key of the stage: its name
SIZES = ((1280, 720), (1920, 1080))
RESULT = Path(__file__).parent / "results" / "stage_large.json"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

SEEK = """step => new Promise(done => {
    const began = performance.now();
    minillmStage.seek(step);
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
})"""
SELECT = """id => new Promise(done => {
    const began = performance.now();
    minillmStage.select(id);
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
})"""
FRAMES = """seconds => new Promise(done => {
    const stamps = [];
    const began = performance.now();
    function frame(now) {
        stamps.push(now);
        if (now - began < seconds * 1000) nextFrame(frame);
        else done(stamps);
    }
    nextFrame(frame);
})"""
# What a frame costs the script: the time in all callbacks of the stage's own frames.
WATCH = """() => {
    const ask = window.nextFrame = window.requestAnimationFrame.bind(window);
    window.costs = [];
    window.requestAnimationFrame = callback => ask(now => {
        const began = performance.now();
        callback(now);
        costs.push(performance.now() - began);
    });
}"""


def workload(requests: int = 2000, seed: int = 7) -> list[RequestSpec]:
    rng = random.Random(seed)
    now, specs = 0.0, []
    for _ in range(requests):
        swell = 1 + 0.95 * math.sin(now / 1300 * 2 * math.pi)
        now += rng.expovariate(0.46 * swell)
        specs.append(
            RequestSpec(
                arrival_time=now,
                prompt_len=rng.randint(64, 1200),
                output_len=rng.randint(750, 3000),
            )
        )
    return specs


def large_run() -> Trace:
    return simulate(
        workload(),
        "llama-2-7b",
        "a100-80gb",
        "sarathi",
        record=True,
        num_blocks=16_384,
        max_num_seqs=256,
        max_num_batched_tokens=512,
    )


def measure(page: Page, url: str, steps: int, seconds: float) -> dict[str, Any]:
    """One opening of the page, at the viewport it has."""
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def cpu() -> float:
        """Seconds of the main thread so far."""
        figures = tools.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in figures if each["name"] == "TaskDuration")

    page.goto(url, wait_until="commit")
    page.wait_for_function(
        "() => document.querySelector('.minillm-readout')?.textContent", timeout=60_000
    )
    result: dict[str, Any] = {"open_s": page.evaluate("() => performance.now() / 1000")}
    result["open_cpu_s"] = cpu()
    rng = random.Random(1)
    before = cpu()
    seeks = [page.evaluate(SEEK, rng.randrange(steps)) for _ in range(60)]
    result["seek_ms"] = {"median": statistics.median(seeks), "max": max(seeks)}
    result["seek_cpu_ms"] = 1000 * (cpu() - before) / len(seeks)
    selects = []
    for _ in range(10):
        page.evaluate(SEEK, rng.randrange(steps))
        running = page.evaluate("() => minillmStage.readout().sequences[0].id")
        selects += [page.evaluate(SELECT, running), page.evaluate(SELECT, None)]
    result["select_ms"] = {"median": statistics.median(selects), "max": max(selects)}
    page.evaluate(WATCH)
    result["playing"] = {
        name: _play(page, cpu, key, steps, seconds) for key, name in SPEEDS.items()
    }
    return result


def _play(
    page: Page, cpu: Callable[[], float], key: str, steps: int, seconds: float
) -> dict[str, float]:
    page.evaluate(SEEK, steps * 2 // 5)
    page.keyboard.press(key)
    page.evaluate("() => { minillmStage.play(); costs.length = 0; }")
    before = cpu()
    stamps = page.evaluate(FRAMES, seconds)
    spent = cpu() - before
    costs = sorted(page.evaluate("() => costs"))
    page.evaluate("() => minillmStage.pause()")
    pauses = sorted(b - a for a, b in pairwise(stamps))
    return {
        "frames_per_second": 1000 * len(pauses) / (stamps[-1] - stamps[0]),
        "p99_pause_ms": pauses[int(0.99 * len(pauses))],
        "cpu_ms_per_frame": 1000 * spent / len(pauses),
        "script_ms": statistics.median(costs),
        "p99_script_ms": costs[int(0.99 * len(costs))],
    }


def _median(results: list[Any]) -> Any:
    """The median of each figure over the rounds."""
    if isinstance(results[0], dict):
        return {key: _median([result[key] for result in results]) for key in results[0]}
    return round(statistics.median(results), 2)


def about(trace: Trace) -> dict[str, Any]:
    """The run that is measured, and the machine."""
    return {
        "run": {
            "steps": len(trace),
            "requests": len(trace.requests),
            "blocks": trace.header.num_blocks,
        },
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load_at_start": round(os.getloadavg()[0], 1),  # processes that want a core
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="How the stage bears a large run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of playing at each speed")
    parser.add_argument("--trace", type=Path, help="a recording instead of the simulated run")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/stage_large.json"
    )
    arguments = parser.parse_args()
    trace = Trace.load(arguments.trace) if arguments.trace else large_run()
    result: dict[str, Any] = {**about(trace), "goals": GOALS}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "run.jsonl"
        trace.save(path)
        result["trace_bytes"] = path.stat().st_size
        page_path = Path(folder) / "run.html"
        trace.to_html(page_path)
        result["page_bytes"] = page_path.stat().st_size
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        result["browser"] = f"Chromium {browser.version}, headless, no GPU"
        for width, height in SIZES:
            rounds = []
            for _ in range(arguments.rounds):
                page = browser.new_page(viewport={"width": width, "height": height})
                rounds.append(measure(page, page_path.as_uri(), len(trace), arguments.seconds))
                page.close()
            result[f"{width}x{height}"] = _median(rounds)
        browser.close()
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
