"""The guided tour in a real Chromium."""

from __future__ import annotations

from typing import Any

import pytest
from backstage.tour import STEPS
from browser_tabs import CHROMIUM, Tab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
LAST = len(STEPS)


def overlap(a: dict[str, float], b: dict[str, float]) -> float:
    """CSS px² that two boxes share."""
    wide = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
    high = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
    return max(0.0, wide) * max(0.0, high)


def card(one: Tab) -> Any:
    return one.page.locator(".tour .card")


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_it_comes_once_and_covers_nothing_that_it_explains(
    tab: Any, language: str, scheme: str
) -> None:
    one = tab(f"?lang={language}", scheme, toured=False)
    card(one).wait_for()
    for number, place in enumerate(STEPS.values(), start=1):
        card(one).locator(".count", has_text=str(number)).wait_for()
        explained = one.page.locator(place).bounding_box()
        assert overlap(card(one).bounding_box(), explained) == 0, place
        frame = one.page.locator(".tour .frame").bounding_box()
        assert overlap(frame, explained) == pytest.approx(
            explained["width"] * explained["height"], rel=0.01
        )
        one.picture(f"tour-{language}-{number}")
        one.page.keyboard.press("Enter")
    card(one).wait_for(state="hidden")
    one.page.reload()
    one.page.wait_for_selector(".minillm-readout", state="attached")
    one.until(lambda r: r["length"] > 50)
    one.page.wait_for_timeout(1000)  # three looks of the tour for its places
    assert not card(one).is_visible()


def test_keys_lead_through_it_and_its_link_starts_it_again(tab: Any) -> None:
    one = tab(toured=False)
    card(one).wait_for()
    at = one.read()["step"]
    one.page.mouse.move(640, 400)  # over the stage, whose keys are the same
    one.page.keyboard.press("ArrowRight")
    card(one).locator(".count", has_text="2").wait_for()
    one.page.keyboard.press("ArrowLeft")
    card(one).locator(".count", has_text="1").wait_for()
    assert one.read()["step"] >= at
    one.page.keyboard.press("Escape")
    card(one).wait_for(state="hidden")
    one.button("Tour").click()
    card(one).wait_for()
    one.button("Skip the tour").click()
    card(one).wait_for(state="hidden")


@pytest.mark.parametrize("query", ["?hide=figures", "?present=on"])
def test_it_stays_away_from_pages_that_somebody_arranged(tab: Any, query: str) -> None:
    one = tab(query, toured=False)
    one.until(lambda r: r["length"] > 50)
    one.page.wait_for_timeout(1000)
    assert one.page.locator(".tour").count() == 0
