"""Lesson 1's judge: right answers pass, and each mistake is named, however it is written."""

from __future__ import annotations

import pytest
from naming import assert_named
from wrong_attends import RIGHT, WRONG, function

from minillm.lesson.exercises.attend import judge


@pytest.mark.parametrize("code", RIGHT, ids=["joined", "token by token"])
def test_right_answers_pass(code: str) -> None:
    judge(function(code))


@pytest.mark.parametrize("variant", [0, 1])
@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_named(mistake: str, variant: int) -> None:
    key, *codes = WRONG[mistake]
    assert_named(judge, function(codes[variant]), f"lesson_01.{key}")
