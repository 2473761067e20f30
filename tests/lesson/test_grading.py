"""A teacher's table, and the folder that students work in."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from minillm.cli import cli
from minillm.lesson.folder import copy_lessons, lessons_folder
from minillm.lesson.progress import Progress

SOURCE = lessons_folder()


def test_lessons_are_copied_and_what_is_there_stays(tmp_path: Path) -> None:
    assert SOURCE is not None
    first = tmp_path / "en" / "01_one_request.ipynb"
    first.parent.mkdir()
    first.write_text("mine")
    assert copy_lessons(SOURCE, tmp_path) > 0
    assert copy_lessons(SOURCE, tmp_path) == 0
    assert first.read_text() == "mine"
    assert (tmp_path / "solutions" / "zh" / "01_one_request.ipynb").is_file()


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    """A class of two: one has the solution, the other has nothing."""
    assert SOURCE is not None
    folder = tmp_path / "class"
    for student, form in (("anna", "solutions/en"), ("bo", "zh")):
        notebook = json.loads((SOURCE / form / "01_one_request.ipynb").read_text("utf-8"))
        notebook["metadata"]["minillm"]["form"] = "student"
        (folder / student).mkdir(parents=True)
        (folder / student / "lesson.ipynb").write_text(json.dumps(notebook))
    (folder / "broken.ipynb").write_text("{")
    (folder / "foreign.ipynb").write_text('{"cells": []}')
    return folder


def test_grading(handed_in: Path, tmp_path: Path) -> None:
    table = tmp_path / "grades.csv"
    done = CliRunner().invoke(cli, ["lessons", "grade", str(handed_in), "--csv", str(table)])
    assert done.exit_code == 0, done.output
    head, *rows = csv.reader(table.open(encoding="utf-8"))
    assert head == ["student", "lesson", "exercise", "passed", "remark"]
    assert [row[:4] for row in rows] == [
        ["anna", "01_one_request", "attend", "yes"],
        ["bo", "01_one_request", "attend", "no"],
    ]
    assert "returned nothing" in rows[1][4]


def test_progress_in_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.json"
    monkeypatch.setenv("MINILLM_PROGRESS", str(path))
    Progress(path).keep("01_one_request", "checks", "attend", {"passed": True, "attempts": 2})
    done = CliRunner().invoke(cli, ["lessons", "progress"])
    assert "01_one_request attend yes 2" in " ".join(done.output.split())


def test_mistakes_are_told_in_a_line(tmp_path: Path) -> None:
    for arguments in (["grade", str(tmp_path / "none")], ["--language", "tlh"]):
        done = CliRunner().invoke(cli, ["lessons", *arguments])
        assert done.exit_code == 2, done.output
