"""A journey through the Kernel page in a real Chromium."""

from __future__ import annotations

import time
from typing import Any

import pytest
from browser_tabs import CHROMIUM, wait

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

SIZES = {"small": (1280, 720), "large": (1920, 1080)}


def whole(one: Any) -> None:
    """The picture fills the window and nothing of it is cut off."""
    width, height = (one.page.viewport_size[name] for name in ("width", "height"))
    box = one.page.locator(".minillm-xray").bounding_box()
    assert box["width"] == width
    assert box["y"] + box["height"] <= height + 1
    for name in ("kx-grid", "kx-pool", "kx-softmax", "kx-loads", "kx-layouts", "ms-controls"):
        part = one.page.locator(f".{name}").bounding_box()
        assert part["y"] + part["height"] <= box["y"] + box["height"] + 1, name
    assert one.page.locator(".kx-layouts").bounding_box()["height"] > 100


def test_it_plays_what_the_kernel_did(tab: Any, record_property: Any) -> None:
    tab("kernel")  # the first tab of a fresh server pays for its imports
    began = time.monotonic()
    one = tab("kernel")
    record_property("first_paint_seconds", round(time.monotonic() - began, 2))
    first = one.read()
    assert first["program"] == "0,0"
    assert first["kind"] == "v"
    assert first["narration"].endswith("what was summed before is multiplied by 0.77.")
    whole(one)
    one.press("Home")
    assert one.until(lambda r: r["step"] == 0)["kind"] == "lengths"
    one.press("4")
    one.press(" ")
    last = one.until(lambda r: r["step"] == r["length"] - 1 and not r["playing"])
    assert last["kind"] == "out"
    one.press("ArrowLeft")
    assert one.until(lambda r: r["step"] == last["step"] - 1)["kind"] == "v"
    one.press("ArrowDown")
    assert one.until(lambda r: r["program"] == "0,1")["step"] == last["step"] - 1


def test_programs_loads_and_rows_are_chosen_by_pointing(tab: Any) -> None:
    one = tab("kernel")
    one.page.locator(".kx-cell", has_text="3,1").click()
    assert one.until(lambda r: r["program"] == "3,1")["order"] == {
        "6": 1, "0": 2, "10": 3, "14": 4, "11": 5,
    }  # fmt: skip
    one.page.locator(".kx-load[data-kind=k]").first.click()
    read = one.until(lambda r: r["kind"] == "k")
    assert read["blocks"] == [6, 0, 10, 14]
    assert one.page.locator(".kx-reading").count() == 4
    assert one.page.locator(".kx-reading .kx-order").all_inner_texts() == ["2", "1", "3", "4"]
    one.page.get_by_role("combobox", name="Row of the tile").select_option("query 19, head 3")
    assert one.until(lambda r: r["row"] == 7)
    spoken = one.page.locator(".minillm-xray .ms-sr").text_content()
    assert spoken.startswith("Program 3,1 reads the keys of request [2] from blocks 6 0 10 14")


def test_the_link_holds_the_place_and_another_case_begins_anew(tab: Any) -> None:
    one = tab("kernel?load=3,1:8:7")
    read = one.read()
    assert (read["program"], read["step"], read["row"], read["kind"]) == ("3,1", 7, 7, "k")
    one.press("ArrowRight")
    one.page.wait_for_url("**/kernel?*load=3%2C1%3A9%3A7*")
    assert one.read()["step"] == 8, "the place it told is not handed back"
    one.page.get_by_role("combobox", name="Batch").click()
    one.page.get_by_role("option", name="Shared prefix").click()
    assert one.until(lambda r: r["grid"] == [3, 2, 1])["row"] == 0
    one.page.wait_for_url(lambda url: "case=shared" in url and "load" not in url)


def test_every_part_says_why_it_is(tab: Any) -> None:
    one = tab("kernel")
    one.page.locator(".kx-softmax .ms-region-head").focus()
    one.page.keyboard.press("?")
    why = one.page.get_by_role("tooltip")
    assert why.inner_text().startswith("A softmax needs all scores, but program 0,0 sees one tile")
    one.page.keyboard.press("Escape")
    why.wait_for(state="hidden")


def test_a_layout_is_chosen_in_the_picture_or_above_it_and_is_in_the_link(tab: Any) -> None:
    one = tab("kernel?case=decode")
    before = one.read()
    one.page.get_by_role("button", name="HND", exact=True).click()
    assert one.until(lambda r: r["layout"] == "HND")["step"] == before["step"]
    one.page.wait_for_url("**/kernel?*layout=HND*")
    assert "fewest lines" in one.page.locator("[data-layout=HND]").inner_text()
    one.page.get_by_role("combobox", name="Layout").click()
    one.page.get_by_role("option", name="packed").click()
    assert one.until(lambda r: r["layout"] == "packed")["program"] == before["program"]
    one.page.get_by_role("button", name="HND", exact=True).click()
    one.page.wait_for_url("**/kernel?*layout=HND*")


def test_another_kernel_is_interpreted_while_the_picture_stays(tab: Any) -> None:
    one = tab("kernel?case=prefill")
    one.page.get_by_role("combobox", name="Kernel").click()
    one.page.get_by_role("option", name="csr_attention").click()
    one.page.get_by_text("Interpreting csr_attention, about").wait_for()
    assert one.read()["grid"] == [5, 2, 1]
    one.until(lambda r: r["function"] == "minillm.xray.csr:csr_attention")
    assert one.page.get_by_text("Which program of the attention kernel").is_visible()
    one.page.locator(".kx-load[data-kind=table]").first.click()
    told = one.until(lambda r: r["kind"] == "table")["narration"]
    assert "looks up in kv_indices" in told
    one.page.wait_for_url("**/kernel?*kernel=csr_attention*")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_is_whole_and_axe_finds_nothing_serious(
    tab: Any, size: str, scheme: str, language: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    one = tab(f"kernel?case=shared&lang={language}", scheme)
    width, height = SIZES[size]
    one.page.set_viewport_size({"width": width, "height": height})
    picture = one.page.locator(".minillm-xray")
    wait(lambda: picture.bounding_box()["height"] > height - 150, "for a picture as tall as that")
    assert one.read()["theme"] == scheme
    whole(one)
    one.picture(f"kernel-{size}-{scheme}-{language}")
    found = axe.Axe().run(one.page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
