"""From the one source of a lesson to its notebooks: docs/lessons.md says how a source is written.

`built(source)` gives, for each language, the student's notebook and the solution. It is a function
of the source, the glossary and the recorded pictures alone, so that the notebooks in the
repository can be checked to be current.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minillm.lesson.folder import FORMS, Form
from minillm.messages import LANGUAGES, say
from minillm.messages.glossary import Term, glossary

Cell = dict[str, Any]

_SOLUTION = re.compile(r"^([ \t]*)# >>> solution\n.*?^[ \t]*# <<<\n?", re.DOTALL | re.MULTILINE)
_MARKERS = re.compile(r"^[ \t]*# (?:>>> solution|<<<)\n?", re.MULTILINE)
_SPOKEN = re.compile(r'_\(\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)",?\s*\)')
_TERM = re.compile(r"\[\[(\w+)\]\]")


class SourceError(ValueError):
    """A source that breaks the rules; the message says where."""


@dataclass(frozen=True)
class Source:
    """`name`: of the lesson, e.g. "01_one_request". `text`: jupytext's percent format. `pictures`:
    a folder with `LANGUAGE/LESSON/PICTURE.png`."""

    name: str
    text: str
    pictures: Path

    @classmethod
    def read(cls, path: Path) -> Source:
        pictures = path.parents[1] / "pictures"
        return cls(path.stem, path.read_text(encoding="utf-8"), pictures)


def built(source: Source) -> Iterator[tuple[Path, str]]:
    """Every notebook of a lesson: its path below `lessons/` and its content. Raises SourceError."""
    import jupytext

    cells = jupytext.reads(source.text, fmt="py:percent").cells
    for language in LANGUAGES:
        for form in FORMS:
            notebook = _Notebook(source, language, form).of(cells)
            content = json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"
            yield FORMS[form] / language / f"{source.name}.ipynb", content


def cell_id(lesson: str, number: int) -> str:
    """Of the source's cell `number`, in every notebook that has it."""
    return f"{lesson[:2]}-{number:03d}"


@dataclass(frozen=True)
class _Notebook:
    source: Source
    language: str
    form: Form

    def of(self, cells: list[Any]) -> Cell:
        mine = [
            self._cell(number, cell)
            for number, cell in enumerate(cells)
            if cell.metadata.get("lang", self.language) == self.language
        ]
        words = self._words(cells)
        if words:
            mine.append({**_markdown(words), "id": self._id(len(cells))})
        return {
            "cells": mine,
            "metadata": {
                "kernelspec": {
                    "display_name": "Python 3 (ipykernel)",
                    "language": "python",
                    "name": "python3",
                },
                "language_info": {"name": "python"},
                "minillm": {
                    "form": self.form,
                    "language": self.language,
                    "lesson": self.source.name,
                },
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }

    def _cell(self, number: int, cell: Any) -> Cell:
        if cell.cell_type == "markdown":
            if cell.metadata.get("lang") not in LANGUAGES:
                raise SourceError(f"{self.source.name}, cell {number}: which lang?\n{cell.source}")
            text = self._with_terms(cell.source)
            if self.form == "solution":
                text = text.replace("](../solutions/", "](../../solutions/")
            made = _markdown(text)
        else:
            made = self._code(cell)
        return {**made, "id": self._id(number)}

    def _code(self, cell: Any) -> Cell:
        about = dict(cell.metadata)
        metadata: Cell = {key: about[key] for key in ("exercise", "setup") if key in about}
        if "lesson.needs(" in cell.source:
            metadata["tags"] = ["raises-exception"]  # "run all" goes on after it
        return {
            "cell_type": "code",
            "execution_count": None,
            "metadata": metadata,
            "outputs": self._outputs(about.get("picture"), bool(about.get("for_students"))),
            "source": _lines(self._program(cell.source)),
        }

    def _outputs(self, picture: str | None, for_students: bool) -> list[Cell]:
        """The recorded picture. A student's notebook has those alone that give no answer away."""
        if picture is None or (self.form == "student" and not for_students):
            return []
        path = self.source.pictures / self.language / self.source.name / f"{picture}.png"
        if not path.is_file():
            return []
        image = base64.b64encode(path.read_bytes()).decode()
        data = {"image/png": image, "text/plain": [f"<{picture}>"]}
        return [{"data": data, "metadata": {}, "output_type": "display_data"}]

    def _program(self, text: str) -> str:
        text += "\n"
        if self.form == "student":
            here = say(self.language, "lessons.your_code")
            text = _SOLUTION.sub(rf"\g<1>...  # {here}\n", text)
        text = _MARKERS.sub("", text)
        lines = []
        for line in text.splitlines():
            head, mark, rest = line.partition("#:")
            if not mark or head.strip():
                lines.append(line)
            elif rest.startswith(f"{self.language} "):
                lines.append(f"{head}# {rest.partition(' ')[2]}")
        place = list(LANGUAGES).index(self.language) + 1
        return _SPOKEN.sub(lambda match: f'"{match[place]}"', "\n".join(lines))

    def _with_terms(self, text: str) -> str:
        return _TERM.sub(lambda match: f"**{self._term(match[1]).name}**", text)

    def _words(self, cells: list[Any]) -> str:
        """The terms that the lesson introduces, as the glossary defines them."""
        introduced = dict.fromkeys(
            key
            for cell in cells
            if cell.metadata.get("lang") == self.language
            for key in _TERM.findall(cell.source)
        )
        terms = [self._term(key) for key in introduced]
        if not terms:
            return ""
        lines = [f"- **{term.name}**: {term.short}" for term in terms]
        return "\n".join([f"## {say(self.language, 'lessons.words')}", "", *lines])

    def _term(self, key: str) -> Term:
        terms = glossary(self.language)
        if key not in terms:
            raise SourceError(f"{self.source.name}: the glossary has no term [[{key}]]")
        return terms[key]

    def _id(self, number: int) -> str:
        return cell_id(self.source.name, number)


def _markdown(text: str) -> Cell:
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(text)}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
