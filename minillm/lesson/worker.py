"""The process in which a student's code is tried: `python -m minillm.lesson.worker FILE`.

Asks come on stdin and answers go to stdout, as lengths and bytes. A code that takes too long, or
that brings the interpreter down, ends this process, and FILE then says at which line.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import linecache
import os
import pickle
import struct
import sys
import traceback
from typing import IO, Any

from minillm.lesson.exercise import Exercise, Function, Wrong, find_exercise
from minillm.lesson.submission import Submission
from minillm.lesson.verdict import Verdict

LENGTH = struct.Struct("!Q")
PRINTED = 2000  # characters of output that are kept


def send(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(LENGTH.pack(len(message)) + message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes | None:
    """None where the other side is gone."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    message = pipe.read(length)
    return message if len(message) == length else None


def tried(exercise: Exercise, function: Function | Submission, filename: str) -> Verdict:
    """The verdict on `function`, whose code is in `filename`, by the exercise's judge."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            own = function.function() if isinstance(function, Submission) else function
            exercise.judge(own)
    except Wrong as wrong:
        return Verdict(False, wrong.key, wrong.values, printed=_short(printed))
    except Exception as error:
        lines = traceback.extract_tb(error.__traceback__)
        places = [line.lineno or 0 for line in lines if line.filename == filename]
        if isinstance(error, SyntaxError) and error.filename == filename:
            places.append(error.lineno or 0)
        if not places:
            raise  # the judge's own mistake
        values = {"error": type(error).__name__, "message": str(error).strip()[:300]}
        where = line_of(filename, places[-1])
        return Verdict(False, "lessons.raised", values, where, _short(printed))
    return Verdict(True, f"{exercise.part}.{exercise.name}_passed", printed=_short(printed))


def line_of(filename: str, number: int) -> str:
    """A line of code with its number; empty where the code is not known."""
    code = linecache.getline(filename, number).rstrip()
    return f"{number:>3}  {code}" if code else ""


def _short(printed: io.StringIO) -> str:
    text = printed.getvalue()
    return text if len(text) <= PRINTED else text[:PRINTED] + " …"


def main() -> None:
    asks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what compiled code prints must not come between the answers
    last_words = open(sys.argv[1], "w")  # noqa: SIM115  # until the process ends
    faulthandler.enable(last_words)
    while (ask := receive(asks)) is not None:
        name, seconds, filename, lines, code = pickle.loads(ask)
        linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)
        exercise = find_exercise(name)
        exercise.prepare()
        faulthandler.dump_traceback_later(seconds, exit=True, file=last_words)
        verdict = _verdict(exercise, code, filename)
        faulthandler.cancel_dump_traceback_later()
        send(answers, json.dumps(_plain(verdict)).encode())


def _verdict(exercise: Exercise, code: bytes, filename: str) -> Verdict:
    try:
        return tried(exercise, pickle.loads(code), filename)
    except SystemExit:
        return Verdict(False, "lessons.exits")


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {
        "passed": verdict.passed,
        "key": verdict.key,
        "values": dict(verdict.values),
        "where": verdict.where,
        "printed": verdict.printed,
    }


if __name__ == "__main__":
    main()
