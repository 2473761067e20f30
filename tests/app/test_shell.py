"""The navigation, the language and what a link hides, through AppTest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from backstage.shell import PAGES
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app"


def labels(at: AppTest) -> list[str]:
    return [*(link.proto.label for link in at.get("page_link")), *(b.label for b in at.button)]


def stage_options(at: AppTest) -> dict[str, Any]:
    return stage_data(at)["options"]


def stage_data(at: AppTest) -> dict[str, Any]:
    (element,) = [e for e in at.get("bidi_component") if e.proto.component_name == "minillm_stage"]
    return json.loads(element.proto.json)


def test_every_page_is_in_the_navigation_and_there_is_a_file_of_it(page) -> None:
    at = page()
    assert [link.proto.page for link in at.get("page_link")] == ["", *PAGES[1:]]
    assert all((APP / f"{name}.py").is_file() for name in PAGES)


def test_the_language_is_switched_and_stays_in_the_link(page) -> None:
    at = page()
    assert "Run live" in labels(at)
    at.button(key="speak-zh").click().run()
    assert "实时运行" in labels(at)
    assert at.query_params["lang"] == "zh"
    at.button(key="speak-en").click().run()
    assert "Run live" in labels(at)
    assert "lang" not in at.query_params
    assert "实时运行" in labels(page(lang="zh"))


def test_the_browser_says_which_language_if_the_link_does_not(page) -> None:
    at = page(locale="zh-CN")
    assert "实时运行" in labels(at)
    assert "lang" not in at.query_params
    at.button(key="speak-en").click().run()
    assert at.query_params["lang"] == "en"
    assert "Run live" in labels(page(locale="zh-CN", lang="en"))
    assert "Run live" in labels(page(locale="fr-FR"))


@pytest.mark.parametrize(
    ("part", "gone"),
    [("nav", "Live"), ("bar", "Run live"), ("bar", "Settings"), ("settings", "Settings")],
)
def test_a_link_hides_what_it_says(page, part: str, gone: str) -> None:
    def seen(at: AppTest) -> list[str]:
        popovers = [e.proto.popover.label for e in at.get("popover")]
        return [*labels(at), *popovers]

    assert gone in seen(page())
    assert gone not in seen(page(hide=part))


def test_the_stage_s_controls_go_where_a_link_hides_them(page) -> None:
    assert stage_options(page(hide="controls"))["bare"] is True
    assert "bare" not in stage_options(page())


def test_a_presentation_shows_the_stage_alone_and_large(page) -> None:
    at = page(present="on")
    assert not at.get("page_link")
    assert not at.selectbox
    options = stage_options(at)
    assert options["present"] is True
    assert options["wholePage"] is True


def test_a_link_opens_the_moment_and_the_request(page) -> None:
    data = stage_data(page(scene="memory", step="40", select="3"))
    assert (data["goto"]["step"], data["goto"]["select"]) == (40, "3")
    assert stage_options(page(scene="memory"))["autoplay"] is True
