"""The run's batches on the roof: counted from its trace, and moving with the stage."""

from __future__ import annotations

from typing import Any

import pytest
from backstage.roof_run import batches_of, points
from backstage.shown import from_bundle
from browser_tabs import CHROMIUM, wait

from minillm.costs import cost_model
from minillm.recordings import names


@pytest.mark.parametrize("name", names())
def test_every_step_has_its_batch(name: str) -> None:
    trace = from_bundle(name).trace
    batches = batches_of(trace)
    assert [batch.prefill for batch in batches] == [
        sum(n for _, n in step.prefills) for step in trace.steps
    ]
    most = trace.header.max_num_seqs
    slots = trace.header.num_blocks * trace.header.block_size
    assert all(0 <= batch.decodes <= batch.sequences <= most for batch in batches)
    assert all(batch.sequences <= batch.context for batch in batches)
    if not trace.header.prefix_caching:
        assert all(batch.context <= slots for batch in batches)


def test_prefill_is_on_the_flat_and_decode_on_the_slope() -> None:
    costs = cost_model("llama-2-7b", "a100-80gb")
    trace = from_bundle("long-prompt-vllm").trace
    drawn = points(batches_of(trace), costs)["steps"]
    decoding = [each for each in drawn if not each[3]]
    longest = max(drawn, key=lambda each: each[3])
    assert longest[0] > costs.hardware.ridge
    assert all(each[0] < costs.hardware.ridge for each in decoding)
    assert all(each[1] > 0 for each in drawn)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_point_moves_with_the_stage_and_the_slider_moves_the_stage(tab: Any) -> None:
    one = tab("roofline?scene=long-prompt&step=20")
    point = one.page.locator(".roof-run .point")
    one.page.locator(".roof-run").get_by_text("Step 20:").wait_for()
    before = point.get_attribute("cx")
    one.press("ArrowRight")
    one.page.locator(".roof-run").get_by_text("Step 21:").wait_for()
    one.page.get_by_role("button", name="Play").locator("visible=true").first.click()
    wait(lambda: point.get_attribute("cx") != before, "for the point to move while it plays")
    one.press(" ")
    one.until(lambda r: not r["playing"])
    one.page.get_by_role("slider", name="Step of the run").fill("44")
    one.page.locator(".roof-run").get_by_text("Step 44:").wait_for()
    one.until(lambda r: r["step"] == 44 and not r["playing"])
    one.page.locator(".roof-run").scroll_into_view_if_needed()
    one.picture("roof-run")
