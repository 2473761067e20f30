"""Copy-on-write and swap on the Memory page: each is a moment to go to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from backstage.moments import MOST, Moment, drawn, moments
from backstage.rerun import requests_of
from backstage.shown import from_bundle
from browser_tabs import CHROMIUM

from minillm.events import Copied, Forked, Step
from minillm.simulation import simulate
from minillm.trace.trace import Trace


def swapping() -> Trace:
    """The requests of a scene where memory runs out, swapped instead of computed again."""
    ran = from_bundle("memory-vllm").trace
    return simulate(
        requests_of(ran),
        model="pocket",
        hardware="cpu",
        scheduler="vllm",
        num_blocks=ran.header.num_blocks,
        block_size=ran.header.block_size,
        max_model_len=ran.header.max_model_len,
        preemption="swap",
    )


def test_who_is_swapped_out_comes_back() -> None:
    trace = swapping()
    found = moments(trace)
    out = [each.id for each in found if each.kind == "swapped_out"]
    assert out
    assert sorted(out) == sorted(each.id for each in found if each.kind == "swapped_in")
    assert len(out) == trace.num_preemptions
    for each in found:
        if each.kind == "swapped_out":
            assert each.blocks == len(trace.state_at(each.step).sequences[each.id].cpu_blocks)


def test_forks_and_their_copies_are_moments() -> None:
    header = from_bundle("memory-vllm").trace.header
    steps = [
        Step(index=0, start=0, duration=1, after=(Forked("0", "0.1", (3, 4)),)),
        Step(index=1, start=1, duration=1, events=(Copied("0", 4, 7),)),
    ]
    found = moments(Trace(header, steps))
    assert found == [Moment(0, "forked", "0.1", 2), Moment(1, "copied", "0", 1)]


def test_the_curve_is_of_the_whole_run_and_the_buttons_are_limited() -> None:
    trace = swapping()
    data = drawn(trace, moments(trace) * MOST)
    assert len(data["moments"]) == MOST
    assert max(share for _, share in data["curve"]) == max(trace.series.used_blocks) / 48
    assert data["last"] == len(trace.steps) - 1


def test_a_run_without_them_says_how_to_see_them(page: Any) -> None:
    at = page("memory", scene="memory")
    assert any("choose “swap”" in each.value for each in at.caption)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_moment_leads_the_stage_there(tab: Any, tmp_path: Path) -> None:
    trace = swapping()
    trace.save(tmp_path / "swaps.jsonl")
    one = tab("recordings")
    one.page.locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(
        tmp_path / "swaps.jsonl"
    )
    one.page.get_by_text(f"{len(trace.steps)} steps").first.wait_for()
    one.page.get_by_role("link", name="Memory").click()
    first = moments(trace)[0]
    button = one.page.locator(".moments button").first
    button.wait_for()
    button.click()
    read = one.until(lambda r: r["step"] == first.step)
    assert read["selection"] == first.id
    assert not read["playing"]
    one.page.locator(".moments").evaluate("e => e.scrollIntoView({block: 'start'})")
    one.page.wait_for_url(f"**/memory?*step={first.step}*")
    one.picture("moments")
