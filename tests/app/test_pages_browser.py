"""A journey through each page in a real Chromium, at 1280 × 720."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browser_tabs import CHROMIUM, wait

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def test_blocking_a_cell_leads_to_its_moment_on_the_stage(tab: Any) -> None:
    one = tab("blocking")
    one.page.get_by_text("Request 6 cost 7 others").wait_for()
    cell = one.page.get_by_role("button", name="7 paid 153 ms for 6")
    assert cell.bounding_box()["y"] < 720, "the matrix is seen at once"
    one.picture("blocking")
    cell.click()
    read = one.until(lambda r: r["selection"] == "7")
    assert not read["playing"]
    assert "7" in read["waits"]
    box = one.page.locator(".minillm-stage").bounding_box()
    assert box["y"] < 300, "the stage has come into view"
    one.page.wait_for_url(f"**/blocking?*step={read['step']}&select=7")


def test_roofline_another_device_another_roof(tab: Any) -> None:
    one = tab("roofline", first="[data-testid=stVegaLiteChart] svg")
    one.page.get_by_text("decoding on a100-80gb waits for memory").wait_for()
    box = one.page.locator("[data-testid=stVegaLiteChart] svg").bounding_box()
    assert box["x"] + box["width"] <= 1280
    assert box["y"] + box["height"] <= 720, "the chart is whole without scrolling"
    one.picture("roofline")
    one.page.get_by_role("combobox", name="Device").click()
    one.page.get_by_role("option", name="h100-sxm").click()
    one.page.get_by_text("decoding on h100-sxm waits for memory").wait_for()
    one.page.wait_for_url("**/roofline?*hardware=h100-sxm*")


def test_memory_larger_blocks_waste_more(tab: Any) -> None:
    one = tab("memory?scene=three-memories", first="[data-testid=stVegaLiteChart] svg")
    one.page.get_by_text("contiguous memory 2, and wastes 78 %").wait_for()
    box = one.page.locator("[data-testid=stVegaLiteChart] svg").bounding_box()
    assert box["x"] + box["width"] <= 1280
    assert box["y"] + box["height"] <= 720, "the charts are whole without scrolling"
    one.picture("memory")
    before = one.page.get_by_text("paged memory runs 8").text_content()
    slider = one.page.get_by_role("slider", name="Block size of paged memory")
    for _ in range(3):
        slider.press("ArrowRight")
    one.page.wait_for_url("**/memory?*kv_block=128*")
    one.page.get_by_text("paged memory runs").filter(has_not_text=before).wait_for()


def test_compare_two_stages_share_a_clock_and_a_real_run_joins_them(tab: Any) -> None:
    one = tab("compare?scene=shared-prompt")
    stages = one.page.locator(".minillm-readout")
    wait(lambda: stages.count() == 2, "for both stages")
    bar = one.page.get_by_role("button", name="Next difference").bounding_box()
    assert bar["y"] + bar["height"] <= 720, "both stages are whole without scrolling"
    one.picture("compare")

    def times() -> list[float]:
        texts = one.page.locator(".minillm-readout").all_text_contents()
        return [json.loads(text)["time"] for text in texts if text]

    one.page.locator("[data-action=end]").locator("visible=true").first.click()
    wait(lambda: len(times()) == 2 and min(times()) > 0.1e9, "for both to end")
    one.page.locator("[data-action=start]").locator("visible=true").first.click()
    wait(lambda: max(times()) < 0.05e9, "for the start")

    one.page.get_by_role("button", name="B: vllm").click()
    one.page.get_by_role("combobox", name="Where it runs").click()
    one.page.get_by_role("option", name="this machine, for real").click()
    one.page.get_by_text("B has not run yet").wait_for()
    one.page.keyboard.press("Escape")
    one.button("Run on this machine").click()
    one.page.get_by_text("B has not run yet").wait_for(state="detached")
    wait(lambda: stages.count() == 2, "for the stages to come back")
    one.page.wait_for_url("**/compare?*ways=*real*")


def test_glossary_a_word_finds_its_terms(tab: Any) -> None:
    one = tab("glossary?term=ttft", first="h3")
    one.page.get_by_text("time to first token").first.wait_for()
    one.picture("glossary")
    one.page.get_by_role("textbox", name="Search the glossary").fill("copy-on-write")
    one.page.keyboard.press("Enter")
    one.page.get_by_role("heading", name="Serving").wait_for(state="detached")
    one.page.get_by_text("copy-on-write —").wait_for()


def test_recordings_a_note_is_pinned_where_the_stage_stands_and_taken_away(tab: Any) -> None:
    one = tab("recordings?scene=memory&step=40")
    one.press("ArrowRight")
    one.page.wait_for_url("**/recordings?scene=memory&step=41")
    one.page.get_by_label("Note on step 41").fill("Seven of eight decode.")
    one.page.get_by_role("button", name="Pin the note").click()
    one.page.get_by_role("button", name="Step 41").wait_for()
    one.until(lambda r: r["step"] == 41)
    one.picture("recordings")
    with one.page.expect_download() as download:
        one.page.get_by_role("button", name="Trace file").click()
    text = download.value.path().read_text()
    assert "Seven of eight decode." in text
    one.page.get_by_role("slider").nth(1).press("ArrowLeft")
    one.page.get_by_role("button", name="Cut the rest away").click()
    one.page.get_by_text("472 steps").wait_for()
    assert one.page.get_by_role("button", name="Step 41").count() == 1
