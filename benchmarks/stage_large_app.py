"""How long a large recording takes to open in the app, from choosing the file to the stage drawn.

The run is that of `stage_large.py`: 100,000 steps, 2,000 requests, 16,384 KV blocks. `minillm app`
serves it to a headless Chromium without a GPU, on one machine. Measured: seconds by the clock; CPU
seconds of the server (receiving, checking, packing) and of the page's main thread (unpacking,
folding, drawing), which other work on the machine disturbs less; and the most memory that the
server ever held, MB. The first opening is told apart, for the server imports things then. Linux.

    python benchmarks/stage_large_app.py [--rounds 3] [--out FILE.json] [--trace FILE.jsonl]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, sync_playwright
from stage_large import CHROMIUM, about, large_run

from minillm import Trace

GOAL = {"open_s": 5.0}
PATIENCE = 180  # seconds
LENGTH = """() => {
    for (const { shadowRoot } of document.querySelectorAll("*")) {
        const text = shadowRoot?.querySelector(".minillm-readout")?.textContent;
        if (text) return JSON.parse(text).length;
    }
    return 0;
}"""


@contextmanager
def served(folder: str) -> Iterator[tuple[str, int]]:
    """The app, served: its address and its process id."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "minillm", "app", "--no-browser", "--port", port]
    server = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"http://localhost:{port}", server.pid
    finally:
        server.terminate()
        server.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))


def opening(browser: Browser, url: str, pid: int, path: Path, steps: int) -> dict[str, float]:
    """Open the file in a new session."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(PATIENCE * 1000)
    page.add_init_script("localStorage.setItem('minillm-tour', 'seen')")
    _goto(page, f"{url}/recordings")
    page.locator(".minillm-readout").wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def page_cpu() -> float:
        figures = tools.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in figures if each["name"] == "TaskDuration")

    began, server, main = time.perf_counter(), cpu_seconds(pid), page_cpu()
    page.locator("input[type=file]").set_input_files(path)
    page.wait_for_function(f"() => ({LENGTH})() === {steps}", polling=50)
    result = {
        "open_s": time.perf_counter() - began,
        "server_cpu_s": cpu_seconds(pid) - server,
        "page_cpu_s": page_cpu() - main,
        "server_peak_mb": peak_mb(pid),
    }
    page.close()
    return result


def _goto(page: Any, url: str) -> None:
    """Once the server answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            page.goto(url)
            return
        except Error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description="How a large recording opens in the app")
    parser.add_argument("--rounds", type=int, default=3, help="openings after the first")
    parser.add_argument("--trace", type=Path, help="a recording instead of the simulated run")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results/stage_large_app.json"
    )
    arguments = parser.parse_args()
    trace = Trace.load(arguments.trace) if arguments.trace else large_run()
    result: dict[str, Any] = {**about(trace), "goal": GOAL}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "run.jsonl"
        trace.save(path)
        result["trace_bytes"] = path.stat().st_size
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        result["browser"] = f"Chromium {browser.version}, headless, no GPU"
        with served(folder) as (url, pid):
            openings = [
                opening(browser, url, pid, path, len(trace)) for _ in range(1 + arguments.rounds)
            ]
        browser.close()
    first, *later = openings
    result["first"] = {key: round(value, 2) for key, value in first.items()}
    result["median"] = {
        key: round(statistics.median(each[key] for each in later), 2) for key in first
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text)
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
