"""A student's function, tried in a process of its own, so that whatever it does the notebook goes
on. The process is kept from one check to the next, since it takes seconds to start."""

from __future__ import annotations

import inspect
import json
import linecache
import os
import re
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType

import cloudpickle

from minillm.lesson.exercise import Exercise, Function
from minillm.lesson.submission import FILENAME, Submission
from minillm.lesson.verdict import Verdict
from minillm.lesson.worker import line_of, receive, send

_FRAME = re.compile(r'File "(.*)", line (\d+) in ')


class Checker:
    """The process. It is started by the first `check`, and anew after one that it did not survive;
    it ends with this object."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="minillm-check-")

    def check(self, exercise: Exercise, function: Function | Submission) -> Verdict:
        """What the exercise's judge says of `function`, or how it brought its process down."""
        filename, lines = _source(function)
        try:
            code = cloudpickle.dumps(function)
        except Exception:  # whatever the objects it refers to make of being pickled
            return Verdict(False, "lessons.uses_outside", {"names": _heavy(function)})
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        ask = (exercise.name, exercise.seconds, filename, lines, code)
        send(process.stdin, cloudpickle.dumps(ask))
        answer = receive(process.stdout)
        if answer is not None:
            return Verdict(**json.loads(answer))
        process.wait()
        return self._fell(exercise, filename)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            _end(self._process)
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "minillm.lesson.worker", str(self._last_words)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(Path(self._folder.name) / "errors").open("w"),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            weakref.finalize(self, _end, self._process)
        return self._process

    @property
    def _last_words(self) -> Path:
        return Path(self._folder.name) / "last-words"

    def _fell(self, exercise: Exercise, filename: str) -> Verdict:
        """Why there is no answer: the time was up, or the interpreter crashed. RuntimeError where
        it was neither, but a mistake of the judge's own."""
        words = self._last_words.read_text(errors="replace")
        own = [number for file, number in _FRAME.findall(words) if file == filename]
        where = line_of(filename, int(own[0])) if own else ""
        if words.startswith("Timeout"):
            seconds = round(exercise.seconds)
            return Verdict(False, "lessons.too_long", {"seconds": seconds}, where)
        if not words:
            raise RuntimeError((Path(self._folder.name) / "errors").read_text(errors="replace"))
        return Verdict(False, "lessons.crashed", {}, where)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _source(function: Function | Submission) -> tuple[str, Sequence[str]]:
    """The file that defines `function`, and its lines, of a notebook's cell too."""
    if isinstance(function, Submission):
        return FILENAME, function.code.splitlines(keepends=True)
    for each in _functions(function):
        filename = each.__code__.co_filename
        return filename, linecache.getlines(filename)
    return "", ()


def _functions(function: Function) -> list[FunctionType]:
    """The function itself; of a class, its methods."""
    parts = vars(function).values() if isinstance(function, type) else [inspect.unwrap(function)]
    return [part for part in parts if isinstance(part, FunctionType)]


def _heavy(function: Function | Submission) -> str:
    """Which of the notebook's objects that `function` refers to cannot go to another process."""
    assert not isinstance(function, Submission)
    used = [inspect.getclosurevars(each).globals for each in _functions(function)]
    found = []
    for name, value in {name: value for names in used for name, value in names.items()}.items():
        try:
            cloudpickle.dumps(value)
        except Exception:
            found.append(name)
    return ", ".join(found) or "?"
