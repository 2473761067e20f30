"""The page's link: what it says is what is seen."""

from __future__ import annotations

import pytest
from backstage.choice import Choice
from backstage.link import PARTS, Link, Look, read, write
from backstage.own import defaults
from hypothesis import given
from hypothesis import strategies as st

from minillm.messages import LANGUAGES

looks = st.builds(
    Look,
    lang=st.none() | st.sampled_from(list(LANGUAGES)),
    hide=st.frozensets(st.sampled_from(PARTS)),
    present=st.booleans(),
    step=st.none() | st.integers(0, 100_000),
    select=st.none() | st.sampled_from(["0", "7.1", "beam-3"]),
)


@given(looks)
def test_a_link_brings_back_the_look(look: Look) -> None:
    choice = Choice(scene="memory", seed=3)
    own = {**defaults(), "batch": 3}
    assert read(write(choice, look, own)) == Link(choice, look, own)


def test_what_is_as_usual_is_left_out() -> None:
    assert write(Choice(), Look(), defaults()) == {"scene": "long-prompt"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"block_sise": "4"}, "unknown link parameter block_sise. Did you mean block_size?"),
        ({"lang": "fr"}, "Known: en, zh."),
        ({"hide": "bar,setings"}, "Did you mean settings?"),
        ({"present": "yes"}, "on or off"),
        ({"hardware": "a100-80"}, "Did you mean a100-80gb?"),
        ({"batch": "0"}, "whole number from 1"),
        ({"step": "-1"}, "whole number from 0"),
        ({"select": "<b>"}, "id of a request"),
        ({"scheduler": "nope"}, "link parameter scheduler=nope"),
    ],
)
def test_what_cannot_be_followed_is_said_and_left_out(query: dict[str, str], said: str) -> None:
    link = read({"seed": "7", **query})
    assert len(link.problems) == 1
    assert said in link.problems[0]
    assert link.choice == Choice(seed=7)
    assert link.look == Look()


def test_it_complains_in_its_own_language() -> None:
    (problem,) = read({"lang": "zh", "stp": "3"}).problems
    assert problem == "未知的链接参数 stp。你是不是想写 step？"
    (problem,) = read({"step": "x"}, "zh").problems
    assert "整数" in problem


def test_a_presentation_is_the_stage_alone() -> None:
    assert all(Look(present=True).hides(part) for part in PARTS)
    assert Look(hide=frozenset({"bar"})).hides("bar")
    assert not Look().hides("bar")
