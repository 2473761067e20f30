"""An exercise: a function or class that a student writes, and a judge that tries it.

A judge calls the function and looks at what it does, never at its source. It returns None, or
raises `Wrong` with the text that names the mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Function = Callable[..., Any]


class Wrong(Exception):
    """What is wrong: the key of a text in the catalogues, and its values."""

    def __init__(self, key: str, **values: Any) -> None:
        super().__init__(f"{key} {values}")
        self.key = key
        self.values = values


@dataclass(frozen=True)
class Exercise:
    """`name` is that of the student's function or class. Its texts are `{part}.{name}_…` of the
    catalogues: `_hint_1`, `_hint_2` …, `_passed`, and those of its `Wrong`s. The judge gets no
    longer than `seconds`; `prepare` is called before, untimed, for what takes long the first
    time."""

    name: str
    part: str
    judge: Callable[[Function], None]
    seconds: float = 10.0
    prepare: Callable[[], object] = bool


# The exercises of each lesson, by the names of the functions or classes that students write. Each
# has a module in `minillm.lesson.exercises` that defines `EXERCISE`: `BlockAllocator` is in
# `block_allocator`. By name, since most of them load torch.
LESSONS: dict[str, tuple[str, ...]] = {
    "01_one_request": ("attend",),
    "04_kv_memory": ("BlockAllocator",),
    "06_batching": ("select",),
}


def find_exercise(name: str) -> Exercise:
    """KeyError where no lesson has it."""
    if not any(name in names for names in LESSONS.values()):
        raise KeyError(name)
    module = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return import_module(f"minillm.lesson.exercises.{module}").EXERCISE
