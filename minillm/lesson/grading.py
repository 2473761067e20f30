"""Grading: the exercises in students' notebooks, tried anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minillm.lesson.checker import Checker
from minillm.lesson.exercise import LESSONS, find_exercise
from minillm.lesson.submission import Submission


@dataclass(frozen=True)
class Grade:
    """`student`: the folder below the one that was graded, or the file's name."""

    student: str
    lesson: str
    exercise: str
    passed: bool
    remark: str


def grades(folder: Path, language: str) -> Iterator[Grade]:
    """Try the exercises of every student's notebook below `folder`, in the order of the paths.
    Solutions and other files are skipped. Remarks are in `language`.

    A student's code runs in a process of its own with a limit of time, but may do on this machine
    whatever its user may. Raises FileNotFoundError.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    checker = Checker()
    try:
        for path in sorted(folder.rglob("*.ipynb")):
            notebook = _read(path)
            about = notebook.get("metadata", {}).get("minillm", {})
            if about.get("form") == "student" and about.get("lesson") in LESSONS:
                yield from _of_notebook(_student(path, folder), notebook, checker, language)
    finally:
        checker.close()


def _of_notebook(
    student: str, notebook: dict[str, Any], checker: Checker, language: str
) -> Iterator[Grade]:
    lesson = notebook["metadata"]["minillm"]["lesson"]
    for name in LESSONS[lesson]:
        verdict = checker.check(find_exercise(name), Submission(name, _code(notebook, name)))
        yield Grade(student, lesson, name, verdict.passed, verdict.text(language))


def _code(notebook: dict[str, Any], exercise: str) -> str:
    """The cells that import what an exercise needs, and its own."""
    return "\n\n".join(
        "".join(cell["source"])
        for cell in notebook.get("cells", ())
        if cell["cell_type"] == "code"
        and (cell["metadata"].get("setup") or cell["metadata"].get("exercise") == exercise)
    )


def _read(path: Path) -> dict[str, Any]:
    """Empty where the file is no notebook."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notebook if isinstance(notebook, dict) else {}


def _student(path: Path, folder: Path) -> str:
    first = path.relative_to(folder).parts[0]
    return Path(first).stem if first.endswith(".ipynb") else first
