"""A lesson of its own for each test: progress in a file that nobody else has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from minillm.lesson.checker import Checker
from minillm.lesson.lesson import Lesson
from minillm.lesson.progress import Progress


@pytest.fixture(scope="session")
def checker() -> Iterator[Checker]:
    """One process for all tests: it takes seconds to start."""
    checker = Checker()
    yield checker
    checker.close()


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress(tmp_path / "data" / "lessons.json")


@pytest.fixture
def lesson(progress: Progress, checker: Checker) -> Lesson:
    return Lesson("01_one_request", "en", progress, checker)
