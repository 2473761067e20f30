"""Lesson 4's judge: right allocators pass, and each mistake is named, however it is written."""

from __future__ import annotations

import pytest
from naming import assert_named
from wrong_allocators import RIGHT, WRONG, allocator

from minillm.lesson.exercises.block_allocator import judge


@pytest.mark.parametrize("code", RIGHT, ids=["free list", "who uses what"])
def test_right_answers_pass(code: str) -> None:
    judge(allocator(code))


@pytest.mark.parametrize("variant", [0, 1])
@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_named(mistake: str, variant: int) -> None:
    key, *codes = WRONG[mistake]
    assert_named(judge, allocator(codes[variant]), f"lesson_04.BlockAllocator_{key}")
