"""Two visitors for ten minutes: the app's process grows neither in memory nor in threads."""

from __future__ import annotations

import time
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from browser_tabs import CHROMIUM, Tab, wait

MINUTES = 10
WARM = 2  # of them: imports, the model, caches that fill once
MOST_GROWTH = 0.10  # of the memory after that
PAGES = ("Blocking", "Memory", "Live")

pytestmark = [
    pytest.mark.full,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def _server(address: str) -> psutil.Process:
    port = urlsplit(address).port
    for process in psutil.process_iter():
        try:
            sockets = process.net_connections("tcp")
        except psutil.Error:  # gone, or somebody else's
            continue
        if any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets):
            return process
    raise AssertionError(f"nobody listens on port {port}")


def _live_again(tab: Tab) -> None:
    """A new run, with which the one before ends; looked at from its start, and left to go on."""
    tab.page.locator(".minillm-readout").evaluate("node => { node.dataset.before = ''; }")
    tab.button("Run again").click()
    tab.page.wait_for_selector(".minillm-readout:not([data-before])", state="attached")
    tab.until(lambda read: read["live"] and read["length"] > 2)
    tab.press("Home")
    tab.until(lambda read: read["step"] == 0)
    tab.press("l")
    tab.until(lambda read: read["step"] > 30)


def _walk(tab: Tab, turn: int) -> None:
    """From page to page, as somebody who looks around."""
    name = PAGES[turn % len(PAGES)]
    tab.page.get_by_role("link", name=name, exact=True).first.click()
    tab.page.wait_for_url(f"**/{'' if name == 'Live' else name.lower()}*")


def test_memory_and_threads_stay_flat(tab: Any, address: str, record_property: Any) -> None:
    one, two = tab("?scene=memory&pace=32"), tab()
    one.run_live()
    server = _server(address)
    samples: list[tuple[float, int, int]] = []  # minutes, bytes, threads
    began, turn = time.monotonic(), 0
    while (passed := (time.monotonic() - began) / 60) < MINUTES:
        _live_again(one)
        _walk(two, turn)
        turn += 1
        samples.append((passed, server.memory_info().rss, server.num_threads()))
    warm = [sample for sample in samples if sample[0] >= WARM]
    third = len(warm) // 3
    assert third >= 2, f"only {len(samples)} turns in {MINUTES} minutes"
    early, late = warm[:third], warm[-third:]
    growth = median(s[1] for s in late) / median(s[1] for s in early) - 1
    more = median(s[2] for s in late) - median(s[2] for s in early)
    record_property("turns", turn)
    record_property("growth", growth)
    told = f"{turn} turns; memory {growth:+.1%}, threads {more:+}; {samples[:: max(1, turn // 20)]}"
    assert growth <= MOST_GROWTH, told
    assert more <= 1, told
    wait(lambda: server.is_running(), "for the server to be there still")
