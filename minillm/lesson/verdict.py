"""What came of a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minillm.lesson.note import Note
from minillm.messages import say


@dataclass(frozen=True)
class Verdict:
    """`key` and `values`: the text that says it. `where`: the line of the student's code, with its
    number, where there is one to name. `printed`: what the code printed meanwhile."""

    passed: bool
    key: str
    values: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    printed: str = ""

    def text(self, language: str) -> str:
        return say(language, self.key, **self.values)

    def note(self, language: str, name: str) -> Note:
        title = "lessons.check_passed" if self.passed else "lessons.check_failed"
        body = [self.text(language)]
        if self.printed:
            body.append(say(language, "lessons.printed"))
        code = "\n".join(filter(None, (self.where, self.printed)))
        kind = "good" if self.passed else "bad"
        return Note(say(language, title, name=name), body, kind, code)
