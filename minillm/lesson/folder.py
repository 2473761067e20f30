"""Where the notebooks are, and a student's own copies of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import minillm
from minillm.messages import LANGUAGES

Form = Literal["student", "solution"]
FORMS: Mapping[Form, Path] = {"student": Path(), "solution": Path("solutions")}
"""The folder of each form, below `lessons/`; in it is one for each language."""


def lessons_folder() -> Path | None:
    """`lessons/`, beside the package in a checkout or inside it in an installed wheel; None where
    it was not installed."""
    package = Path(minillm.__file__).parent
    for folder in (package.parent / "lessons", package / "_lessons"):
        if (folder / "solutions").is_dir():
            return folder
    return None


def copy_lessons(source: Path, folder: Path) -> int:
    """Put the notebooks into `folder`; how many were not there yet. What is there stays as it is:
    it may be somebody's work."""
    copied = 0
    for form in FORMS.values():
        for language in LANGUAGES:
            for notebook in sorted((source / form / language).glob("*.ipynb")):
                own = folder / form / language / notebook.name
                if own.exists():
                    continue
                own.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(notebook, own)
                copied += 1
    return copied
