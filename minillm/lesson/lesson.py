"""A lesson as its notebook sees it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minillm.lesson.charts import use_offline_renderer
from minillm.lesson.checker import Checker
from minillm.lesson.exercise import LESSONS, Exercise, Function, find_exercise
from minillm.lesson.note import Note
from minillm.lesson.predictions import Guess, compared, kept
from minillm.lesson.progress import Progress, progress_path
from minillm.lesson.verdict import Verdict
from minillm.messages import DEFAULT, catalogue, say, spoken

if TYPE_CHECKING:
    from minillm.trace import Trace


def begin(name: str, language: str = DEFAULT) -> Lesson:
    """The lesson `name`, e.g. "01_one_request". Charts are drawn as SVG from now on, which needs
    no network. KeyError where there is no such lesson or language."""
    if name not in LESSONS:
        raise KeyError(f"no lesson {name!r}; there are {', '.join(LESSONS)}")
    use_offline_renderer()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # loading takes a moment only
    return Lesson(name, spoken(language), Progress(progress_path()), Checker())


class NotYet(Exception):
    """A cell that needs an exercise which has not passed its check; a notebook shows the one
    line."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Lesson:
    """What a student's cells call. Whatever it says is in `language`, and what it returns shows
    itself below the cell."""

    def __init__(self, name: str, language: str, progress: Progress, checker: Checker) -> None:
        self.name = name
        self.language = language
        self.progress = progress
        self._checker = checker
        self._functions: dict[str, Function] = {}  # those that passed, as they were

    def __repr__(self) -> str:
        from minillm.lesson.machine import machine

        return self._say("lessons.begun", machine=machine())

    # ---- predict, then measure ----------------------------------------------------------------

    def predict(self, name: str, guess: Guess, unit: str = "") -> Note:
        """Keep `guess`: a number, in `unit`, or a word. `...` is none yet. A later guess replaces
        an earlier one until the answer has been measured."""
        return kept(self.progress, self.name, name, guess, unit, self.language)

    def measured(self, name: str, value: float | str) -> Note:
        """Put `value` beside what was predicted under this name."""
        return compared(self.progress, self.name, name, value, self.language)

    # ---- exercises ----------------------------------------------------------------------------

    def check(self, function: Function) -> Note:
        """Try the function: first on small inputs, then in the real engine. The exercise is the
        one of its name. It runs in a process of its own, with a limit of time."""
        exercise = self._exercise(function)
        verdict = self._checker.check(exercise, function)
        self._keep(exercise.name, verdict)
        if verdict.passed:
            self._functions[exercise.name] = function
        else:
            self._functions.pop(exercise.name, None)
        return verdict.note(self.language, exercise.name)

    def needs(self, function: Function) -> None:
        """First line of a cell that uses the student's function: NotYet, which ends the cell with
        one line, unless this very function has passed its check."""
        name = self._exercise(function).name
        if self._functions.get(name) is not function:
            raise NotYet(self._say("lessons.not_yet", name=name))

    def hint(self, function: Function) -> Note:
        """The next hint, and those that are open already."""
        exercise = self._exercise(function)
        key = f"{exercise.part}.{exercise.name}_hint_"
        total = sum(name.startswith(key) for name in catalogue(self.language))
        opened = min(total, self.progress.of(self.name, "hints").get(exercise.name, 0) + 1)
        self.progress.keep(self.name, "hints", exercise.name, opened)
        title = self._say("lessons.hints", opened=opened, total=total)
        body = [f"{i}. {self._say(f'{key}{i}')}" for i in range(1, opened + 1)]
        if opened == total:
            body.append(self._say("lessons.no_more_hints", file=f"solutions/{self.name}.ipynb"))
        return Note(title, body, "hint")

    # ---- seeing -------------------------------------------------------------------------------

    def show(self, trace: Trace, **options: Any) -> Any:
        """The stage, in the lesson's language; `options` as of `minillm.stage.show`."""
        from minillm.stage import show

        return show(trace, language=self.language, **options)

    def compare(self, *traces: Trace, **options: Any) -> Any:
        """Stages side by side; `options` as of `minillm.stage.compare`."""
        from minillm.stage import compare

        return compare(*traces, language=self.language, **options)

    def _exercise(self, function: Callable[..., Any]) -> Exercise:
        name = getattr(function, "__name__", "")
        known = LESSONS[self.name]
        if not callable(function) or name not in known:
            names = ", ".join(known)
            raise ValueError(self._say("lessons.no_such_exercise", names=names))
        return find_exercise(name)

    def _keep(self, exercise: str, verdict: Verdict) -> None:
        before = self.progress.of(self.name, "checks").get(exercise, {})
        record = {
            "passed": verdict.passed or before.get("passed", False),
            "attempts": before.get("attempts", 0) + 1,
        }
        self.progress.keep(self.name, "checks", exercise, record)

    def _say(self, key: str, **values: Any) -> str:
        return say(self.language, key, **values)
