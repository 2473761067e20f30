"""Make docs/live.png: the app's live page, at the step where its scene makes its point.

    .venv/bin/python scripts/screenshot.py [--recording] [--theme dark] [--out docs/live.png]

Starts the app, presses "Run live" in Chromium, lets the engine work, pauses it, looks for the step
in which most requests stand still, and saves 1280×720 pixels.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from minillm.doctor import find_browser

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 1280, 720
START_SECONDS = 120  # the first start of Streamlit on a slow disk
PATIENCE = 120_000  # ms, for any one thing on the page: loading torch takes long
STEPS = 70  # engine steps to wait for: the long prompt arrives before them
STALLS = 40  # stalls to look through
READ_OUT = ".minillm-readout"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=ROOT / "docs" / "live.png")
    arguments.add_argument("--theme", choices=("light", "dark"), default="light")
    arguments.add_argument("--recording", action="store_true", help="the page as it opens")
    asked = arguments.parse_args()
    with app() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=asked.theme
        )
        page.set_default_timeout(PATIENCE)
        page.add_init_script("localStorage.setItem('minillm-tour', 'seen')")  # it would lie on top
        page.goto(address)
        page.wait_for_selector(READ_OUT, state="attached")
        if not asked.recording:
            page.get_by_role("button", name="Run live").click()
            until(page, lambda seen: seen["live"] and seen["length"] >= STEPS)
        page.locator("[data-action=play]").click()
        until(page, lambda seen: not seen["playing"])
        seen = go_to_the_point(page)
        page.mouse.move(WIDTH / 2, HEIGHT - 2)  # off every tooltip
        page.wait_for_timeout(1000)
        page.screenshot(path=asked.out)
        print(f"{asked.out}: step {seen['step']}. {seen['narration']}")
        browser.close()


@contextmanager
def app() -> Iterator[str]:
    """`minillm app` on a free port; yields its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    address = f"http://localhost:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "minillm", "app", "--no-browser", "--port", port], cwd=ROOT
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(f"{address}/_stcore/health"):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the app did not start")
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=1) as response:
        return response.status == 200
    return False


def read(page: Page) -> dict[str, Any]:
    """What the stage shows now, as it says itself."""
    while not (text := page.locator(READ_OUT).first.evaluate("node => node.textContent")):
        page.wait_for_timeout(50)  # a new run has nothing to show yet
    return json.loads(text)


def until(page: Page, condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while not condition(read(page)):
        if time.monotonic() > deadline:
            raise SystemExit(f"the page did not get there: {str(read(page))[:300]}")
        page.wait_for_timeout(100)


def standing_still(seen: dict[str, Any]) -> int:
    return len(seen["waits"])


def go_to_the_point(page: Page) -> dict[str, Any]:
    """Leave the page at the stall in which most requests wait, with the most blocks held."""
    stalls: list[dict[str, Any]] = []
    page.locator("[data-action=start]").click()
    for _ in range(STALLS):
        page.locator("[data-action=stall]").click()
        page.wait_for_timeout(150)
        seen = read(page)
        if stalls and seen["step"] == stalls[-1]["step"]:
            break
        stalls.append(seen)
    best = max(stalls, key=lambda seen: (standing_still(seen), seen["blocks"]["held"]))
    page.locator("[data-action=start]").click()
    for _ in range(stalls.index(best) + 1):
        page.locator("[data-action=stall]").click()
        page.wait_for_timeout(150)
    return read(page)


if __name__ == "__main__":
    main()
