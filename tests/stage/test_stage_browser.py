"""The stage in a real Chromium, as a page of its own. What a canvas draws is asserted through the
read-out of the folded state."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import synthetic_traces
from browser_tabs import CHROMIUM

from minillm.stage.html import to_html

ARTIFACTS = Path(__file__).parents[2] / "artifacts"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


class Stage:
    """One page with a stage on it, and what it complained of."""

    def __init__(self, browser: Any, folder: Path, trace: Any, **options: Any) -> None:
        size = options.pop("size", (1280, 720))
        path = folder / "trace.html"
        path.write_text(to_html(*synthetic_traces.lines(trace), **options), encoding="utf-8")
        self.page = browser.new_page()
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(f"{m.type}: {m.text}"))
        self.page.on("pageerror", lambda e: self.complaints.append(f"error: {e}"))
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_function("() => window.minillmStage?.readout().length > 0")
        self.settle()

    def settle(self) -> None:
        """Two frames: one to draw what was asked, one to be sure."""
        self.page.evaluate(
            "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )

    def read(self) -> dict[str, Any]:
        """The read-out that lies in the page, as a browser test of any host finds it."""
        self.settle()
        return json.loads(self.page.locator(".minillm-readout").evaluate("n => n.textContent"))

    def press(self, key: str) -> dict[str, Any]:
        self.page.keyboard.press(key)
        return self.read()

    def click(self, action: str) -> dict[str, Any]:
        self.page.click(f"[data-action={action}]")
        return self.read()


@pytest.fixture
def open_stage(browser: Any, tmp_path: Path) -> Iterator[Any]:
    opened: list[Stage] = []

    def open_one(trace: Any, **options: Any) -> Stage:
        stage = Stage(browser, tmp_path, trace, **options)
        opened.append(stage)
        return stage

    yield open_one
    for stage in opened:
        assert stage.complaints == []
        stage.page.close()


def test_the_first_frame_makes_the_point(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long())
    seen = stage.read()
    assert not seen["playing"]
    assert {row["reason"] for row in seen["waiting"]} == {"token_budget"}
    assert all(row["holders"] == ["7"] for row in seen["waiting"])
    assert "most of it on [7]" in seen["narration"]
    text = stage.page.locator(".ms-narration").inner_text()
    assert "prefills 249 of its 1,100" in text
    assert [url for url in stage.requests if not url.startswith("file:")] == []


def test_play_pause_and_step(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long(), start=3)
    assert stage.read()["step"] == 3
    assert stage.click("step")["step"] == 4
    assert stage.click("back")["step"] == 3
    assert stage.click("play")["playing"]
    stage.page.wait_for_function("() => minillmStage.readout().step >= 6")
    paused = stage.click("play")
    assert not paused["playing"]
    stage.page.wait_for_timeout(300)
    assert stage.read()["step"] == paused["step"]
    assert stage.click("start")["step"] == 0
    end = stage.click("end")
    assert end["step"] == end["length"] - 1
    assert stage.page.locator("[data-action=back]").is_enabled()


def test_playing_to_the_end_stops_there_and_starts_over(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.shared_prefix(), start=100)
    stage.press("4")
    stage.press(" ")
    stage.page.wait_for_function("() => !minillmStage.readout().playing")
    assert stage.read()["step"] == 107
    stage.press(" ")
    stage.page.wait_for_function("() => minillmStage.readout().step < 100")


def test_keys(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.memory_runs_out())
    stage.page.hover(".ms-title")
    assert stage.press("Home")["step"] == 0
    assert stage.press("ArrowRight")["step"] == 1
    assert stage.press("ArrowLeft")["step"] == 0
    stalled = stage.press("s")
    assert any(row["kind"] == "stalled" for row in stalled["batch"])
    preempted = stage.press("p")
    assert "is preempted" in preempted["narration"]
    assert stage.press("p")["step"] > preempted["step"]
    assert stage.press("3")["speed"] == 2
    assert stage.press("l")["step"] == preempted["length"] - 1
    assert stage.press(" ")["playing"]
    assert not stage.press(" ")["playing"]


def test_every_view_of_a_request_selects_it(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long())
    page = stage.page
    page.click(".ms-queue [data-request='9']")
    assert stage.read()["selection"] == "9"
    assert stage.press("Escape")["selection"] is None
    page.click(".ms-slots [data-request='7']")
    chosen = stage.read()
    assert chosen["selection"] == "7"
    table = chosen["table"]
    assert len(table["blocks"]) == 69
    assert page.locator(".ms-table-cell").count() == 69
    assert page.locator(".ms-table-cell").first.inner_text() == str(table["blocks"][0][1])
    assert page.locator(".ms-table").is_visible()
    for logical, physical, filled, owners in table["blocks"]:
        assert chosen["blocks"]["owner"][physical] == "7"
        assert filled == min(16, max(0, table["computed"] - 16 * logical))
        assert owners == 1
    assert stage.press("Escape")["selection"] is None
    assert page.locator(".ms-table").is_hidden()

    box = page.locator(".ms-batch-canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
    assert stage.read()["selection"] == "7"
    stage.press("Escape")
    page.mouse.click(*_block(stage, 0))
    assert stage.read()["selection"] == chosen["blocks"]["owner"][0] == "0"
    stage.press("Escape")
    lane = page.locator(".ms-timeline-canvas").bounding_box()
    page.mouse.click(lane["x"] + 16, lane["y"] + 12)
    assert stage.read()["selection"] == "0"


def _block(stage: Stage, index: int) -> tuple[float, float]:
    """The middle of a block near the pool's upper left corner."""
    box = stage.page.locator(".ms-blocks-canvas").bounding_box()
    return box["x"] + 6 + index * 22, box["y"] + 6


def test_pointing_at_a_block_says_what_it_is(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long())
    stage.page.mouse.move(*_block(stage, 0))
    tip = stage.page.locator(".ms-tip")
    assert tip.inner_text() == "block 0 · held by 0 · 16 of 16 slots"
    stage.page.hover(".ms-title")
    assert tip.is_hidden()


def test_shared_blocks_have_several_owners(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.shared_prefix())
    seen = stage.read()
    assert "192 of its 240 prompt tokens in the cache" in seen["narration"]
    assert seen["blocks"]["owners"][:12] == [2] * 12
    assert seen["blocks"]["held"] + seen["blocks"]["cached"] + seen["blocks"]["free"] == 128


def test_dead_slots_are_shown(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.static_batch(), start=34)
    seen = stage.read()
    dead = [row["id"] for row in seen["batch"] if row["kind"] == "dead"]
    assert dead
    assert {row["reason"] for row in seen["waiting"]} == {"batch_not_finished"}
    for id in dead:
        badge = stage.page.locator(f".ms-slots [data-request='{id}']")
        assert badge.get_attribute("data-kind") == "dead"


def test_dragging_the_timeline_moves_the_cursor(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long(), start=0)
    box = stage.page.locator(".ms-timeline-canvas").bounding_box()
    y = box["y"] + box["height"] - 8  # on the axis
    stage.page.mouse.move(box["x"] + box["width"] * 0.5, y)
    stage.page.mouse.down()
    half = stage.read()["step"]
    stage.page.mouse.move(box["x"] + box["width"] * 0.75, y, steps=4)
    later = stage.read()["step"]
    stage.page.mouse.up()
    assert 20 < half < later < 88


def test_nodes_stay_while_it_plays(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long(), start=10)
    stage.page.evaluate(
        """() => { for (const s of ['.ms-narration', '.ms-blocks-canvas', '.ms-words li',
            '.ms-slots button', '[data-action=play]', '.ms-sentence span'])
            document.querySelector(s).marked = s; }"""
    )
    stage.press(" ")
    stage.page.wait_for_function("() => minillmStage.readout().step >= 16")
    stage.press(" ")
    marked = stage.page.evaluate(
        "() => [...document.querySelectorAll('*')].filter(n => n.marked).length"
    )
    assert marked == 6


WORDS_OF_A_STAGE = """() => {
    const said = [];
    for (const node of document.querySelectorAll("#minillm-stage *")) {
        if (node.closest(".ms-words, .ms-table-prompt, .ms-title, .ms-pills, script")) continue;
        const own = node.childElementCount ? "" : node.textContent;
        said.push(node.getAttribute("aria-label"), node.title, own);
    }
    return said.filter(Boolean).join("\\n");
}"""


@pytest.mark.parametrize("trace", ["one_long", "memory_runs_out", "shared_prefix", "static_batch"])
def test_no_english_in_a_chinese_stage(open_stage: Any, trace: str) -> None:
    stage = open_stage(getattr(synthetic_traces, trace)(), language="zh", select="1")
    assert stage.page.locator("#minillm-stage").get_attribute("lang") == "zh-CN"
    for key in ("", "s", "p", "End"):
        if key:
            stage.press(key)
        stage.page.mouse.move(*_block(stage, 0))
        said = stage.page.evaluate(WORDS_OF_A_STAGE)
        assert "等待" in said
        left = set(re.findall(r"[A-Za-z]{3,}", said)) - {"token", "CPU", "Home", "End"}
        assert left == set()


def test_hostile_text_is_inert(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.hostile(), start=9)
    stage.page.click(".ms-words [data-request='2']")
    seen = stage.read()
    assert seen["selection"] == "2"
    assert stage.page.evaluate("() => window.pwned") is None
    assert stage.page.locator("#minillm-stage img, #minillm-stage b").count() == 0
    text = stage.page.locator(".ms-text").inner_text()
    assert "‹RLO›" in text
    assert "\u202e" not in text
    assert "␀" in text
    assert stage.page.locator(".ms-title").inner_text() == "<b>Hostile</b>"
    width = stage.page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 1280


def test_still_for_those_who_ask(browser: Any, tmp_path: Path) -> None:
    context = browser.new_context(reduced_motion="reduce")
    stage = Stage(context, tmp_path, synthetic_traces.one_long(), autoplay=True)
    assert not stage.read()["playing"]
    context.close()


def test_what_is_spoken_is_the_narration_of_the_paused_step(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long(), start=5)
    words = stage.page.locator("[aria-live=polite]").evaluate("n => n.textContent")
    assert words.startswith(f"Step 5. {stage.read()['narration']} Running: ")


def test_it_folds_for_a_notebook(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long(), size=(720, 620), theme="light")
    page = stage.page
    assert page.locator(".ms-waiting").is_hidden()
    assert page.locator(".ms-narration").is_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 720
    _shoot(stage, "stage-notebook")


def test_every_region_says_why_it_is(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long(), start=30, select="7")
    page = stage.page
    panel = page.locator(".ms-why")
    regions = [node.get_attribute("data-why") for node in page.locator("[data-why]").all()]
    assert len(regions) == len(set(regions)) == 12
    for region in regions:
        assert panel.is_hidden()
        corner = {"x": 8, "y": 8}
        page.hover(f"[data-why={region}]", position=corner)
        panel.wait_for(state="visible")
        words = panel.inner_text()
        assert words.count(". ") == 1, words
        box, own = panel.bounding_box(), page.locator(f"[data-why={region}]").bounding_box()
        assert 0 <= box["x"] <= 1280 - box["width"]
        assert 0 <= box["y"] <= 720 - box["height"]
        assert box["y"] + box["height"] <= own["y"] + 1 or box["y"] >= own["y"] + own["height"] - 1
        if region == "batch":
            _shoot(stage, "stage-why")
        page.hover("[data-action=play]")
    before = stage.read()
    page.hover("[data-why=budget]")
    panel.wait_for(state="visible")
    assert "Step 30 computes" in panel.inner_text()
    stage.press("ArrowRight")
    assert "Step 31 computes" in panel.inner_text()
    stage.press("Escape")
    assert panel.is_hidden()
    assert stage.read()["selection"] == before["selection"]


def test_the_keyboard_asks_why(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long(), start=30)
    panel = stage.page.locator(".ms-why")
    stage.press("?")
    first = panel.inner_text()
    stage.press("?")
    assert panel.inner_text() not in ("", first)
    stage.page.focus(".ms-blocks")
    stage.press("?")
    words = panel.inner_text()
    assert words.startswith("Each cell is one KV block")
    assert stage.page.locator("[aria-live=polite]").evaluate("n => n.textContent") == words
    stage.page.keyboard.press("Tab")
    assert panel.is_hidden()


def test_a_presentation_is_turned_by_a_clicker(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long(), start=20, present=True)
    page = stage.page
    assert page.locator(".ms-controls").is_hidden()
    assert (
        float(
            page.locator(".ms-narration").evaluate("n => parseFloat(getComputedStyle(n).fontSize)")
        )
        > 25
    )
    assert stage.press("PageDown")["step"] == 21
    assert stage.press("ArrowDown")["step"] == 22
    assert stage.press("PageUp")["step"] == 21
    stage.press("b")
    assert page.locator(".ms-narration").is_hidden()
    stage.press("b")
    assert page.locator(".ms-narration").is_visible()
    stage.press(".")
    assert stage.press("PageDown")["step"] == 22
    assert page.locator(".ms-narration").is_visible()


def test_the_link_of_a_page_is_its_moment(open_stage: Any) -> None:
    stage = open_stage(synthetic_traces.one_long(), start=20, select="7")
    stage.press("ArrowRight")
    stage.page.wait_for_function("() => location.hash === '#step=21&select=7'")
    link = stage.page.url
    stage.press("Home")
    stage.page.goto("about:blank")
    stage.page.goto(link)
    stage.page.wait_for_function("() => window.minillmStage?.readout().length > 0")
    assert (stage.read()["step"], stage.read()["selection"]) == (21, "7")
    stage.page.evaluate("() => { location.hash = '#step=3'; }")
    stage.page.wait_for_function("() => minillmStage.readout().step === 3")
    assert stage.read()["selection"] is None


def _with_notes() -> Any:
    header, records = synthetic_traces.one_long()
    notes = [(12, "Watch <b>7</b> arrive."), (30, "Who pays?"), (30, "Look at the queue.")]
    for step, text in notes:
        at = next(i for i, record in enumerate(records) if record.get("n") == step + 1)
        records.insert(at, {"note": step, "text": text, "by": "Ada"})
    return header, records


def test_notes_are_a_script_to_play_by(open_stage: Any) -> None:
    stage = open_stage(_with_notes(), start=12)
    note = stage.page.locator(".ms-note")
    assert note.inner_text().split("\n") == ["Note on step 12", "Watch <b>7</b> arrive.", "— Ada"]
    assert stage.press("n")["step"] == 30
    assert stage.read()["notes"] == ["Who pays?", "Look at the queue."]
    assert stage.press("ArrowRight")["notes"] == ["Who pays?", "Look at the queue."]
    assert stage.press("Shift+N")["step"] == 30
    assert stage.press("Shift+N")["step"] == 12
    stage.press("ArrowLeft")
    assert stage.click("note")["step"] == 12
    assert stage.press("Home")["notes"] == []
    assert stage.page.locator("#minillm-stage .ms-note b").count() == 0
    stage.press("n")
    _shoot(stage, "stage-notes")


@pytest.mark.parametrize("options", [{"notes": False}, {"present": True}])
def test_notes_can_be_kept_to_oneself(open_stage: Any, options: dict[str, bool]) -> None:
    stage = open_stage(_with_notes(), start=12, **options)
    assert stage.read()["notes"] == []
    assert stage.page.locator(".ms-note").is_hidden()
    assert stage.page.locator("[data-action=note]").is_hidden()
    assert stage.press("n")["step"] == 12


def test_a_large_run_is_drawn_by_what_changed(open_stage: Any) -> None:
    trace = synthetic_traces.crowd(requests=320, num_blocks=16_384)
    stage = open_stage(trace, start=200)
    before = stage.read()
    after = stage.click("step")
    changed = [
        block
        for block in range(16_384)
        if before["blocks"]["owner"][block] != after["blocks"]["owner"][block]
        or before["blocks"]["filled"][block] != after["blocks"]["filled"][block]
    ]
    assert 0 < after["drawn"]["blocks"] <= len(changed) < 1500
    assert after["drawn"]["sheets"] == before["drawn"]["sheets"]
    stage.page.click(".ms-slots button")
    chosen = stage.read()
    assert chosen["drawn"]["blocks"] >= after["blocks"]["held"]
    assert chosen["drawn"]["sheets"] == after["drawn"]["sheets"] + 1

    # Not all lanes fit: the strip above them is the whole run, and leads anywhere in it.
    box = stage.page.locator(".ms-timeline-canvas").bounding_box()
    stage.page.mouse.click(box["x"] + box["width"] - 18, box["y"] + 20)
    assert stage.read()["step"] > after["length"] - 20


def test_a_long_run_is_packed_into_its_page(
    open_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minillm.stage.payload.PACK_FROM", 10_000)  # for what is long
    header, records = synthetic_traces.crowd(requests=120)
    keyframe = {"keyframe": 0, "sequences": [], "cached": []}
    records.insert(1, keyframe)
    lines = synthetic_traces.lines((header, records))
    assert len(to_html(*lines)) - len(to_html(lines[0], [])) < 0.4 * sum(map(len, lines[1]))
    stage = open_stage((header, records), start=40)
    seen = stage.read()
    assert (seen["step"], seen["length"]) == (40, len(records) - 2)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_pictures(open_stage: Any, theme: str) -> None:
    for name in ("one_long", "memory_runs_out", "shared_prefix", "static_batch", "crowd"):
        stage = open_stage(getattr(synthetic_traces, name)(), theme=theme)
        assert stage.read()["theme"] == theme
        _shoot(stage, f"stage-{name.replace('_', '-')}-{theme}")
    chosen = open_stage(synthetic_traces.one_long(), theme=theme, select="7")
    _shoot(chosen, f"stage-selected-{theme}")
    large = open_stage(synthetic_traces.one_long(), theme=theme, present=True, size=(1920, 1080))
    _shoot(large, f"stage-present-{theme}")


def _shoot(stage: Stage, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    stage.page.screenshot(path=ARTIFACTS / f"{name}.png")
