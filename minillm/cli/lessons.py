"""`minillm lessons`: the lessons in JupyterLab, a student's progress, a teacher's table."""

from __future__ import annotations

import csv
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from minillm.cli.shell import busy, fail, notes, output, printable
from minillm.messages import DEFAULT, LANGUAGES

FIRST = "01_one_request.ipynb"

lessons = typer.Typer(help="Open the lessons in JupyterLab, or see what was done in them.")


@lessons.callback(invoke_without_command=True)
def open_lessons(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Option(help="Where your own copies of the notebooks are, or will be.")
    ] = Path("minillm-lessons"),
    language: Annotated[str, typer.Option(help=f"{', '.join(LANGUAGES)}.")] = DEFAULT,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    browser: Annotated[bool, typer.Option(help="Open lesson 1 in a browser.")] = True,
) -> None:
    """Copy the lessons to a folder of your own, and open it in JupyterLab. What you have there
    stays as it is."""
    if context.invoked_subcommand is not None:
        return
    from minillm.lesson.folder import copy_lessons, lessons_folder

    source = lessons_folder()
    if language not in LANGUAGES:
        fail(f"no lessons in {language!r}; there are {', '.join(LANGUAGES)}")
    if source is None:
        fail("the lessons are not installed beside minillm; install it anew")
    _need("jupyterlab")
    copied = copy_lessons(source, folder)
    notes().print(f"{copied} notebooks copied to {printable(str(folder))}", markup=False)
    arguments = [
        f"--ServerApp.root_dir={folder.resolve()}",
        f"--LabApp.default_url=/lab/tree/{language}/{FIRST}",
    ]
    if port is not None:
        arguments.append(f"--ServerApp.port={port}")
    if not browser:
        arguments.append("--no-browser")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *arguments])


@lessons.command("progress")
def progress() -> None:
    """What you have done: checks passed, hints opened, and how well you predicted."""
    _need("platformdirs")
    from minillm.lesson.exercise import LESSONS
    from minillm.lesson.progress import Progress, progress_path

    kept = Progress(progress_path()).lessons()
    table = _table("lesson", "exercise", "passed", "attempts", "hints", "predictions")
    for lesson, exercises in LESSONS.items():
        done: dict[str, Any] = kept.get(lesson, {})
        guesses = done.get("predictions", {}).values()
        made = sum("guess" in guess for guess in guesses)
        for name in exercises:
            check = done.get("checks", {}).get(name, {})
            table.add_row(
                lesson,
                name,
                "yes" if check.get("passed") else "no",
                str(check.get("attempts", 0)),
                str(done.get("hints", {}).get(name, 0)),
                str(made),
            )
    output().print(table)


@lessons.command("grade")
def grade(
    folder: Annotated[Path, typer.Argument(help="With a folder or a notebook of each student.")],
    to_csv: Annotated[Path | None, typer.Option("--csv", help="Write the table there.")] = None,
    language: Annotated[str, typer.Option(help="Of the remarks.")] = DEFAULT,
) -> None:
    """Try the exercises in every student's notebook below FOLDER, and print who passed what. Their
    code runs here: in a process of its own and for a limited time, but with your rights."""
    _need("cloudpickle")
    if language not in LANGUAGES:
        fail(f"no remarks in {language!r}; there are {', '.join(LANGUAGES)}")
    from minillm.lesson.grading import grades

    try:
        with busy("Trying the exercises"):
            graded = list(grades(folder, language))
    except FileNotFoundError as error:
        fail(str(error))
    heads = ("student", "lesson", "exercise", "passed", "remark")
    rows = [
        (each.student, each.lesson, each.exercise, "yes" if each.passed else "no", each.remark)
        for each in graded
    ]
    if to_csv is not None:
        with to_csv.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([heads, *rows])
    table = _table(*heads)
    for row in rows:
        table.add_row(*(printable(value) for value in row))
    output().print(table)


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head)
    return table


def _need(module: str) -> None:
    if find_spec(module) is None:
        fail(f'the lessons need {module}: pip install "minillm-lab[lessons]"')
