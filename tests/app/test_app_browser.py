"""The app in a real Chromium, from the first paint to the closed tab."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from browser_tabs import CHROMIUM, wait

LASTING = "canvas, section, [data-action]"  # nodes of the stage that must never be replaced

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


class Status:
    """The status page: what the engines themselves say."""

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_page()
        self.url = f"{address}/status"

    def engines(self) -> list[tuple[str, int, bool]]:
        """(scheduler, steps, playing) of each live engine."""
        self.page.goto(self.url)
        self.page.get_by_test_id("status-engines").wait_for(state="attached")
        lines = self.page.get_by_test_id("status-engine").all_inner_texts()
        found = [re.fullmatch(r"(\w+): (\d+) steps, (\w+)", line) for line in lines]
        return [(m[1], int(m[2]), m[3] == "playing") for m in found if m]

    def paused_at(self, scheduler: str) -> int:
        """Wait until the engine with `scheduler` has obeyed a pause; its steps."""
        paused = f"{scheduler} paused"
        wait(lambda: any(e[0] == scheduler and not e[2] for e in self.engines()), f"for {paused}")
        wait(lambda: self.steps(scheduler) == self.steps(scheduler), "for its last step")
        return self.steps(scheduler)

    def steps(self, scheduler: str) -> int:
        (found,) = [steps for name, steps, _ in self.engines() if name == scheduler]
        return found


@pytest.fixture
def status(browser: Any, address: str) -> Iterator[Status]:
    """The status page, once the engines of earlier tests have ended."""
    page = Status(browser, address)
    wait(lambda: not page.engines(), "for earlier tabs")
    yield page
    page.page.close()


def test_it_opens_with_a_recording_that_plays(tab: Any, record_property: Any) -> None:
    began = time.monotonic()
    one = tab()
    seconds = time.monotonic() - began
    record_property("first_paint_seconds", round(seconds, 2))
    print(f"\nfrom navigation to the stage: {seconds:.2f} s")
    first = one.read()
    assert first["length"] > 50
    assert not first["live"]
    one.until(lambda r: r["step"] > first["step"])
    box = one.page.locator(".minillm-stage").bounding_box()
    assert box["y"] + box["height"] <= 721, "the stage is whole without scrolling"
    assert box["width"] == 1280
    one.picture("recording")


def test_pause_holds_the_engine_and_step_makes_one_step(tab: Any, status: Status) -> None:
    one = tab("?scene=memory")
    one.run_live()
    stage = one.page.locator(".minillm-stage")
    stage.evaluate(f"node => {{ window.before = [...node.querySelectorAll('{LASTING}')]; }}")
    one.until(lambda r: r["length"] > 8)
    one.picture("live")

    one.press("Space")
    held = status.paused_at("vllm")
    one.until(lambda r: not r["playing"] and r["length"] == held)
    one.page.wait_for_timeout(1500)  # a dozen steps' time
    assert status.steps("vllm") == held

    one.press("ArrowRight")
    one.until(lambda r: r["length"] == held + 1 and r["step"] == held)
    one.page.wait_for_timeout(500)
    assert status.engines() == [("vllm", held + 1, False)]

    one.press("Space")
    one.until(lambda r: r["length"] > held + 4)
    same = stage.evaluate(
        f"node => {{ const now = [...node.querySelectorAll('{LASTING}')];"
        " return now.length > 10 && now.every((n, i) => n === window.before[i]); }"
    )
    assert same, "the stage's nodes stay across ticks"


def test_the_past_is_visited_while_the_engine_goes_on(tab: Any) -> None:
    one = tab("?scene=memory")
    one.run_live()
    one.press("Home")
    past = one.until(lambda r: not r["following"] and r["step"] == 0)
    later = one.until(lambda r: r["length"] > past["length"] + 3)
    assert later["step"] == 0
    one.press("l")
    one.until(lambda r: r["following"] and r["step"] >= later["length"] - 1)


def test_a_click_draws_the_block_table(tab: Any, status: Status) -> None:
    one = tab("?scene=memory")
    one.run_live()
    one.press("Space")
    held = status.paused_at("vllm")
    one.until(lambda r: r["length"] == held)
    one.page.locator(".ms-text .ms-badge").first.click()
    read = one.until(lambda r: r["selection"] is not None)
    owned = [b for b, who in enumerate(read["blocks"]["owner"]) if who == read["selection"]]
    assert owned
    assert sorted(entry[1] for entry in read["table"]["blocks"]) == owned
    one.page.locator(".ms-table").wait_for()
    one.picture("block-table")


def test_the_other_scheduler_runs_with_the_same_seed(tab: Any) -> None:
    one = tab("?seed=5")
    one.run_live()
    one.button("Try sarathi").click()
    one.page.locator(".ms-pill", has_text="sarathi").wait_for()
    one.until(lambda r: r["live"] and r["length"] > 2)
    one.page.wait_for_url("**/?scene=long-prompt&scheduler=sarathi&seed=5")
    one.button("Reset").click()
    one.until(lambda r: not r["live"])


def test_own_prompts_join_the_queue_and_hostile_ones_are_inert(tab: Any) -> None:
    one = tab("?scene=shared-prompt")
    one.run_live()
    one.button("Your prompt").click()
    own = one.page.get_by_label("Your prompt joins the queue")
    send = one.page.get_by_role("button", name="Send")
    send.click()
    one.page.get_by_text("The prompt is empty").wait_for()
    own.fill("word " * 6000)
    send.click()
    one.page.get_by_text("at most 2,047 fit").wait_for()
    own.fill('<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\u202e\u0007abc')
    send.click()
    one.page.get_by_text("Sent.").wait_for()
    one.until(lambda r: any(s["id"] == "8" for s in r["sequences"]))
    one.until(lambda r: all(s["phase"] == "finished" for s in r["sequences"]))
    assert one.page.evaluate("() => window.hacked") is None


def test_impossible_settings_are_said_above_the_stage(tab: Any) -> None:
    one = tab("?num_blocks=7&max_num_seqs=4000")
    one.button("Run live").click()
    one.page.get_by_text("max_num_seqs 4,000 is above").wait_for()
    play = one.page.locator("[data-action=play]").bounding_box()
    assert play["y"] + play["height"] <= 720, "the note pushes nothing off the window"
    assert not one.read()["live"]
    one.picture("impossible")


def test_sessions_do_not_disturb_each_other_and_end_with_their_tabs(
    tab: Any, status: Status
) -> None:
    one, two = tab("?scene=memory"), tab("?scene=static")
    one.run_live()
    two.run_live()
    one.press("Space")
    held = status.paused_at("vllm")
    seen = two.read()["length"]
    two.until(lambda r: r["length"] > seen + 3)
    assert sorted(status.engines())[1] == ("vllm", held, False)
    one.page.close()
    wait(lambda: [name for name, *_ in status.engines()] == ["static"], "for the first to end")
    two.page.close()
    wait(lambda: not status.engines(), "for the second to end")


def test_the_link_says_where_a_recording_stands(tab: Any) -> None:
    one = tab("?scene=memory")
    one.press("Space")
    one.until(lambda r: not r["playing"])
    one.press("ArrowRight")
    step = one.read()["step"]
    one.page.wait_for_url(f"**/?scene=memory&step={step}")
    one.press("Space")
    one.page.wait_for_url("**/?scene=memory")
    two = tab(f"?scene=memory&step={step}&select=3")
    read = two.until(lambda r: r["selection"] == "3")
    assert (read["step"], read["playing"]) == (step, False)


def test_a_link_hides_all_but_the_stage_and_its_keys(tab: Any) -> None:
    one = tab("?scene=memory&hide=nav,bar,question,figures,controls")
    one.press("Space")
    one.until(lambda r: not r["playing"])
    one.press("Home")
    one.until(lambda r: r["step"] == 0)
    assert not one.page.locator(".ms-controls").is_visible()
    widgets = "[data-testid=stButton], [data-testid=stSelectbox], [data-testid=stPageLink]"
    assert one.page.locator(widgets).count() == 0
    box = one.page.locator(".minillm-stage").bounding_box()
    assert box["y"] < 5
    assert box["height"] > 700


def test_it_is_dark_where_the_visitor_is(tab: Any) -> None:
    one = tab("?scene=static", "dark")
    one.until(lambda r: r["theme"] == "dark")
    one.run_live()
    one.until(lambda r: r["length"] > 12)
    one.picture("dark")
