"""Tabs of a real Chromium with the app in them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).parents[1]
ARTIFACTS = ROOT / "artifacts"
PATIENCE = 120  # seconds that a busy machine may take for anything


def wait(condition: Callable[[], Any], what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain {what}"
        time.sleep(0.05)


def healthy(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/_stcore/health").status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[str]:
    """The app, served with `arguments` of its own; its address. It runs in `folder`."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    log = folder / "log"
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "main.py")]
    options = ["--server.headless", "true", "--server.port", str(port), "--", *arguments]
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, *options], cwd=folder, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://localhost:{port}"
        wait(lambda: healthy(url) or server.poll() is not None)
        assert server.poll() is None, log.read_text()
        yield url
    finally:
        server.terminate()
        server.wait(20)


class Tab:
    """A tab with the app in it, and what it complained of; of a visitor who has had the tour,
    unless `toured` says otherwise."""

    def __init__(
        self,
        browser: Any,
        url: str,
        scheme: str = "light",
        first: str = ".minillm-readout",
        toured: bool = True,
    ) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme=scheme)
        self.page.set_default_timeout(PATIENCE * 1000)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda e: self.complaints.append(f"error: {e}"))
        self.page.on("dialog", lambda d: self.complaints.append(f"dialog: {d.message}"))
        self.page.on("console", self._hear)
        if toured:
            self.page.add_init_script("localStorage.setItem('minillm-tour', 'seen')")
        self.page.goto(url)
        self.page.wait_for_selector(first, state="attached")

    def _hear(self, message: Any) -> None:
        """Streamlit looks for its server below a page's own address first, and finds nothing."""
        if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
            self.complaints.append(message.text)

    def read(self) -> dict[str, Any]:
        """What the stage draws, by its own account; it has none yet in its first moments."""
        texts: list[str] = []
        wait(
            lambda: texts.append(self.page.locator(".minillm-readout").text_content()) or texts[-1]
        )
        return json.loads(texts[-1])

    def until(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Wait for a read-out that fulfils `condition`."""
        wait(lambda: condition(self.read()), f"with {str(self.read())[:400]}")
        return self.read()

    def press(self, key: str) -> None:
        self.page.locator(".minillm-stage").press(key)

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True).first

    def run_live(self) -> None:
        self.button("Run live").click()
        self.until(lambda r: r["live"] and r["length"] > 2)

    def picture(self, name: str) -> None:
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"app-{name}.png")
