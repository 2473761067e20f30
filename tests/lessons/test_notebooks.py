"""Every lesson runs: solved, all of its checks pass; unsolved, it says what is missing and ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from lesson_runs import LESSONS, ROOT, Run, run

from minillm.lesson.authoring import Source, built
from minillm.lesson.exercise import LESSONS as EXERCISES
from minillm.messages import say


def test_every_lesson_is_known() -> None:
    assert sorted(EXERCISES) == LESSONS


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_notebooks_are_current(lesson: str) -> None:
    """If not: make notebooks."""
    for name, content in built(Source.read(ROOT / "lessons" / "source" / f"{lesson}.py")):
        assert (ROOT / "lessons" / name).read_text(encoding="utf-8") == content, name


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Run:
    monkeypatch.setenv("MINILLM_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return run(ROOT / "lessons" / request.param, tmp_path)


def notebooks(folder: str) -> list[object]:
    return [pytest.param(f"{folder}/{name}.ipynb", id=name) for name in LESSONS]


@pytest.mark.parametrize("ran", notebooks("solutions/en"), indirect=True)
def test_solved_every_check_passes(ran: Run, request: pytest.FixtureRequest) -> None:
    assert ran.errors == []
    for exercise in EXERCISES[request.node.callspec.id]:
        assert say("en", "lessons.check_passed", name=exercise) in ran.said(
            f"lesson.check({exercise})"
        )
    assert {"image/svg+xml", "application/vnd.jupyter.widget-view+json"} <= ran.kinds()


@pytest.mark.parametrize("ran", notebooks("zh"), indirect=True)
def test_unsolved_it_says_so_and_runs_to_its_end(ran: Run, request: pytest.FixtureRequest) -> None:
    for exercise in EXERCISES[request.node.callspec.id]:
        said = ran.said(f"lesson.check({exercise})")
        assert say("zh", "lessons.check_failed", name=exercise) in said
        assert len(said.splitlines()) > 1  # why
    assert ran.errors
    for line, error in ran.errors:
        assert (line[:13], error) == ("lesson.needs(", "NotYet")
