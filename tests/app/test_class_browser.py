"""A class in a real Chromium: one teaches and one follows; two want the only engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser_tabs import CHROMIUM, Tab, served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with one engine."""
    with served(tmp_path_factory.mktemp("app"), "--max-engines", "1") as url:
        yield url


def begin(teacher: Tab) -> str:
    """Let the class follow; its link."""
    teacher.button("Class").click()
    teacher.button("Let the class follow").click()
    code = teacher.page.locator("code", has_text="follow=")
    code.wait_for()
    link = code.inner_text()
    teacher.page.keyboard.press("Escape")
    return link[link.index("?") :]


def test_the_class_sees_the_same_step_and_selection(tab: Any) -> None:
    teacher = tab("?scene=memory&step=20")
    follower = tab(begin(teacher))
    follower.until(lambda r: r["step"] == 20)
    for _ in range(3):
        teacher.press("ArrowRight")
    follower.until(lambda r: r["step"] == 23)
    teacher.page.locator(".ms-text .ms-badge").first.click()
    chosen = teacher.until(lambda r: r["selection"] is not None)["selection"]
    follower.until(lambda r: r["selection"] == chosen)
    follower.picture("following")

    follower.press("ArrowRight")
    follower.press("Home")
    follower.page.locator(".ms-text .ms-badge").last.click()
    teacher.press("ArrowLeft")
    seen = follower.until(lambda r: r["step"] == 22)
    assert seen["selection"] == chosen, "a follower moves nothing"
    assert not follower.page.locator(".ms-controls").is_visible()
    teacher.picture("teaching")


def test_the_class_sees_another_scene_and_the_run_that_grows(tab: Any) -> None:
    teacher = tab("?scene=memory&step=20")
    follower = tab(begin(teacher), "dark")
    teacher.button("Class follows").click()
    teacher.page.get_by_text("1 follows now.").wait_for()
    teacher.picture("teaching-popover")
    teacher.page.keyboard.press("Escape")
    teacher.run_live()
    follower.until(lambda r: r["length"] > 5 and r["step"] > 3)
    first = follower.read()["step"]
    follower.until(lambda r: r["step"] > first + 3)
    teacher.press("Space")
    teacher.until(lambda r: not r["playing"])
    teacher.press("Home")
    follower.until(lambda r: r["step"] == 0)
    follower.picture("following-dark")


def test_the_class_ends_when_the_teacher_says_so_or_leaves(tab: Any) -> None:
    teacher = tab("?lang=en&step=20")
    follower = tab(begin(teacher))
    teacher.button("Class follows").click()
    teacher.button("End the class").click()
    follower.page.get_by_text("The class is over").wait_for()
    follower.picture("class-over")
    leaving = tab("?step=20")
    other = tab(begin(leaving))
    leaving.page.close()
    other.page.get_by_text("The class is over").wait_for()
    tab("?follow=guess&lang=zh", first="text=课堂已结束")


def test_who_finds_no_engine_waits_in_line_and_gets_in(tab: Any) -> None:
    first, second, third = tab("?scene=memory"), tab("?scene=static"), tab("?scene=static")
    first.run_live()
    second.button("Run live").click()
    second.page.get_by_text("Your place in line: 1").wait_for()
    third.button("Run live").click()
    third.page.get_by_text("Your place in line: 2").wait_for()
    third.picture("in-line")
    second.button("Leave the line").click()
    third.page.get_by_text("Your place in line: 1").wait_for()
    first.page.close()
    third.until(lambda r: r["live"] and r["length"] > 2)
    assert not second.read()["live"]
