"""The editor of the requests in a real Chromium: pointer, keys, table, file, link, run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browser_tabs import CHROMIUM, Tab, wait

from minillm.workload.saved import RequestSpec, from_link, rows_of, to_link

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

TWO = (
    RequestSpec(arrival_time=0.0, prompt_len=100, output_len=50),
    RequestSpec(arrival_time=0.2, prompt_len=60, output_len=20),
)


def in_address(one: Tab) -> list[dict[str, Any]]:
    """The requests that the address of the tab holds."""
    text = one.page.evaluate("() => new URLSearchParams(location.search).get('requests')")
    return rows_of(from_link(text)) if text else []


def open_editor(one: Tab) -> Any:
    one.button("Edit the requests").click()
    lanes = one.page.locator(".editor .lane")
    lanes.first.wait_for()
    return lanes


def test_bars_are_dragged_and_keys_do_the_same(tab: Any) -> None:
    one = tab(f"?requests={to_link(TWO)}")
    lanes = open_editor(one)
    assert lanes.count() == 2
    bar = lanes.nth(1).locator(".bar").bounding_box()
    mouse = one.page.mouse
    mouse.move(bar["x"] + 4, bar["y"] + 9)
    mouse.down()
    mouse.move(bar["x"] - 76, bar["y"] + 9, steps=4)
    mouse.up()
    wait(lambda: in_address(one)[1]["arrival"] < 0.2)
    assert in_address(one)[1]["prompt_len"] == 60

    end = lanes.nth(0).locator(".grip").nth(1).bounding_box()
    mouse.move(end["x"], end["y"] + 9)
    mouse.down()
    mouse.move(end["x"] + 60, end["y"] + 9, steps=4)
    mouse.up()
    wait(lambda: in_address(one)[0]["output_len"] > 50)
    assert in_address(one)[0]["prompt_len"] == 100

    before = in_address(one)[0]["arrival"]
    lanes.nth(0).focus()
    one.page.keyboard.press("ArrowRight")
    wait(lambda: in_address(one)[0]["arrival"] > before)
    one.page.keyboard.press("+")
    wait(lambda: in_address(one)[0]["prompt_len"] > 100)
    one.page.keyboard.press("Insert")
    wait(lambda: len(in_address(one)) == 3)
    one.page.keyboard.press("Delete")
    wait(lambda: len(in_address(one)) == 2)
    box = one.page.locator(".editor .lanes").bounding_box()
    mouse.dblclick(box["x"] + 200, box["y"] + box["height"] - 20)
    wait(lambda: len(in_address(one)) == 3)
    one.picture("editor")


def test_what_was_drawn_is_run_and_shown(tab: Any) -> None:
    one = tab(f"?requests={to_link(TWO)}&title=Two+of+mine&pace=full")
    one.page.get_by_text("Run live to see your 2").wait_for()
    open_editor(one)
    one.page.get_by_text("2 requests will be served in about").wait_for()
    one.button("Run live").click()
    one.page.locator(".ms-title", has_text="Two of mine").wait_for()
    one.until(lambda r: r["live"] and r["length"] >= 50)
    assert {x["id"] for x in one.read()["sequences"]} <= {"0", "1"}
    one.page.get_by_text("Your own 2 requests").wait_for()


def test_who_does_not_fit_is_told_before_it_runs(tab: Any) -> None:
    long = (*TWO, RequestSpec(arrival_time=0.3, prompt_len=2000, output_len=400))
    one = tab(f"?requests={to_link(long)}")
    open_editor(one)
    one.page.get_by_text("Does not fit:").wait_for()
    one.page.get_by_text("2 requests will be served").wait_for()
    one.picture("editor-refused")


def test_a_scene_is_saved_and_opened_again(tab: Any, tmp_path: Any) -> None:
    one = tab(f"?scene=memory&scheduler=orca&requests={to_link(TWO)}&title=Mine")
    open_editor(one)
    with one.page.expect_download() as download:
        one.button("Save as a scene").click()
    file = tmp_path / "scene.json"
    download.value.save_as(file)
    assert json.loads(file.read_text())["settings"] == {"scene": "memory", "scheduler": "orca"}

    two = tab("?scene=static")
    open_editor(two)
    two.button("Open a scene").click()
    upload = two.page.locator("input[type=file]")
    damaged = tmp_path / "damaged.json"
    damaged.write_text(file.read_text().replace('"prompt_len": 100', '"prompt_len": -1'))
    upload.set_input_files(damaged)
    two.page.get_by_text("Request 1: prompt_len must be a whole number").wait_for()
    upload.set_input_files(file)
    wait(lambda: in_address(two) == rows_of(TWO), "for the file's requests")
    assert "scheduler=orca" in two.page.url
    assert "scene=memory" in two.page.url


def test_a_damaged_link_is_refused_with_the_reason(tab: Any) -> None:
    one = tab(f"?requests={to_link(TWO)[:-5]}")
    one.page.get_by_text("the link is damaged").wait_for()
    one.page.get_by_text("Who waits, and how long?").wait_for()


def test_the_editor_speaks_chinese_in_the_dark(tab: Any) -> None:
    one = tab(f"?lang=zh&requests={to_link(TWO)}", "dark")
    one.button("编辑请求").click()
    one.page.locator(".editor .lane").first.wait_for()
    one.page.get_by_text("2 个请求大约需要").wait_for()
    one.picture("editor-zh-dark")
