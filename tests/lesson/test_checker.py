"""Whatever a student's code does, the notebook goes on and says what happened, and where."""

from __future__ import annotations

import linecache
import threading
from dataclasses import replace
from typing import Any

import pytest
from wrong_attends import RIGHT

from minillm.lesson.checker import Checker
from minillm.lesson.exercise import find_exercise
from minillm.lesson.submission import Submission
from minillm.lesson.verdict import Verdict
from minillm.messages import say

HEAD = "import torch\nfrom minillm.lesson.attention import masked_attention\n"


def checked(
    checker: Checker, body: str, name: str = "attend", *, seconds: float = 10.0, **names: Any
) -> Verdict:
    """The verdict on what code typed into a notebook's cell defines as `name`."""
    code = HEAD + body
    linecache.cache["<cell>"] = (len(code), None, code.splitlines(keepends=True), "<cell>")
    names["__name__"] = "__main__"
    exec(compile(code, "<cell>", "exec"), names)
    exercise = replace(find_exercise(name), seconds=seconds)
    return checker.check(exercise, names[name])


def test_what_is_right_passes(checker: Checker) -> None:
    verdict = checked(checker, RIGHT[0])
    assert verdict == Verdict(True, "lesson_01.attend_passed")


@pytest.mark.parametrize(
    ("body", "key", "line"),
    [
        ("    while True:\n        pass\n", "lessons.too_long", ""),
        (
            "    import ctypes\n    return ctypes.string_at(0)\n",
            "lessons.crashed",
            "return ctypes.string_at(0)",
        ),
        ("    return q @ k\n", "lessons.raised", "return q @ k"),
        ("    return attend(cache, layer, q, k, v)\n", "lessons.raised", "return attend("),
        ("    exit()\n", "lessons.exits", ""),
    ],
    ids=["loops", "crashes", "raises", "recurses", "exits"],
)
def test_what_goes_wrong_is_explained(checker: Checker, body: str, key: str, line: str) -> None:
    seconds = 1.0 if key == "lessons.too_long" else 10.0
    verdict = checked(checker, f"def attend(cache, layer, q, k, v):\n{body}", seconds=seconds)
    assert not verdict.passed
    assert verdict.key == key
    assert line in verdict.where
    assert verdict.text("en") == say("en", key, **verdict.values)
    if key == "lessons.too_long":  # the line of the loop, whichever of its two it was
        assert verdict.where.lstrip()[0] in "45"
    assert checked(checker, RIGHT[1]).passed  # and the next one is tried as if nothing had been


def test_what_it_prints_is_shown(checker: Checker) -> None:
    verdict = checked(checker, "def attend(cache, layer, q, k, v):\n    print('here', len(q))\n")
    assert verdict.key == "lesson_01.attend_nothing"
    assert verdict.printed == "here 3\n"


def test_objects_of_the_notebook_that_cannot_leave_it_are_named(checker: Checker) -> None:
    body = "def attend(cache, layer, q, k, v):\n    return lock, torch\n"
    verdict = checked(checker, body, lock=threading.Lock())
    assert verdict.key == "lessons.uses_outside"
    assert verdict.values == {"names": "lock"}


def test_a_class_is_an_answer_too(checker: Checker) -> None:
    body = "class BlockAllocator:\n    def __init__(self, num_blocks, block_size):\n        {}\n"
    verdict = checked(checker, body.format("return 1 / 0"), "BlockAllocator")
    assert verdict.key == "lessons.raised"
    assert "return 1 / 0" in verdict.where
    verdict = checked(checker, body.format("lock"), "BlockAllocator", lock=threading.Lock())
    assert verdict.key == "lessons.uses_outside"
    assert verdict.values == {"names": "lock"}


def test_code_that_was_handed_in_is_run_in_the_process_alone(checker: Checker) -> None:
    exercise = find_exercise("attend")
    assert checker.check(exercise, Submission("attend", HEAD + RIGHT[0])).passed
    missing = checker.check(exercise, Submission("attend", "atend = 1"))
    assert missing.key == "lessons.not_defined"
    broken = checker.check(exercise, Submission("attend", "x = 1\ndef attend(:\n"))
    assert broken.key == "lessons.raised"
    assert "def attend(:" in broken.where


def test_a_judges_own_mistake_is_no_students(checker: Checker) -> None:
    exercise = replace(find_exercise("attend"), name="nowhere")
    with pytest.raises(RuntimeError, match="KeyError"):
        checker.check(exercise, Submission("attend", ""))
