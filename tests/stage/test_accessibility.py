"""What axe-core says of the stage, and what somebody who cannot see or point can do with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import synthetic_traces
from browser_tabs import CHROMIUM

from minillm.stage.html import comparison_to_html, to_html

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    pages = []

    def open_one(trace: Any, **options: Any) -> Any:
        path = tmp_path / "trace.html"
        path.write_text(to_html(*synthetic_traces.lines(trace), **options), encoding="utf-8")
        # axe-core is a script from outside, which the page's policy would refuse.
        context = browser.new_context(
            viewport={"width": 1280, "height": 720}, bypass_csp=True, reduced_motion="reduce"
        )
        pages.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.goto(path.as_uri())
        page.wait_for_function("() => window.minillmStage?.readout().length > 0")
        return page

    yield open_one
    for context in pages:
        context.close()


def _noted() -> Any:
    header, records = synthetic_traces.one_long()
    records.insert(13, {"note": 12, "text": "Look who comes.", "by": "Ada"})
    return header, records


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("trace", "options"),
    [
        (synthetic_traces.one_long, {}),
        (synthetic_traces.one_long, {"select": "7", "language": "zh"}),
        (synthetic_traces.static_batch, {"start": 34, "select": "1"}),
        (synthetic_traces.memory_runs_out, {"present": True}),
        (_noted, {"start": 12, "compact": True}),
    ],
)
def test_axe_finds_nothing(open_page: Any, trace: Any, options: dict[str, Any], theme: str) -> None:
    page = open_page(trace(), theme=theme, **options)
    page.keyboard.press("?")
    found = axe.Axe().run(page).response["violations"]
    assert [
        (rule["id"], rule["impact"], [node["html"][:120] for node in rule["nodes"]])
        for rule in found
    ] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_a_comparison(browser: Any, tmp_path: Path, theme: str) -> None:
    traces = [synthetic_traces.lines(t()) for t in (synthetic_traces.one_long, _noted)]
    told = [{"time": 300_000_000, "text": "7: first token sooner"}]
    path = tmp_path / "comparison.html"
    path.write_text(comparison_to_html(traces, differences=told, theme=theme, names=["A", "B"]))
    context = browser.new_context(viewport={"width": 1280, "height": 720}, bypass_csp=True)
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_function("() => window.minillmStage?.leader().readout().length > 0")
    found = axe.Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"][:120] for node in rule["nodes"]]) for rule in found] == []
    context.close()


def test_the_step_is_told_at_rest_and_not_while_it_plays(open_page: Any) -> None:
    page = open_page(synthetic_traces.one_long(), start=20)
    spoken = page.locator("[aria-live=polite]")
    told = "Step 20. Six decodes take 6 of 256 tokens"
    assert spoken.evaluate("n => n.textContent").startswith(told)
    assert "Running: " in spoken.evaluate("n => n.textContent")
    page.evaluate("""() => {
        window.told = 0;
        new MutationObserver(() => { told += 1; }).observe(
            document.querySelector("[aria-live=polite]"),
            { childList: true, characterData: true, subtree: true });
    }""")
    page.keyboard.press(" ")
    page.wait_for_function("() => minillmStage.readout().step >= 26")
    assert page.evaluate("() => told") == 0
    page.keyboard.press(" ")
    page.wait_for_function("() => told > 0")


def test_everything_is_reached_by_the_keyboard(open_page: Any) -> None:
    page = open_page(synthetic_traces.one_long(), start=20)
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate("""() => {
            const node = document.activeElement;
            const ring = getComputedStyle(node);
            return [node.dataset.why ?? node.dataset.action ?? node.className,
                ring.outlineStyle !== "none" && parseFloat(ring.outlineWidth) >= 2];
        }""")
        if page.evaluate("() => document.activeElement === document.body"):
            break  # past the last
        seen.append(focus)
    names = [name for name, _ in seen]
    for name in ("scheduler", "narration", "waiting", "batch", "blocks", "text", "timeline",
                 "play", "step", "speed", "end"):  # fmt: skip
        assert name in names
    assert [name for name, ring in seen if not ring] == []
    page.focus(".ms-waiting")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("() => minillmStage.readout().selection") == "1"
    page.keyboard.press("ArrowUp")
    assert page.evaluate("() => minillmStage.readout().selection") == "0"
    assert page.locator(".ms-table").is_visible()
