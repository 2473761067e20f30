"""Predict, then measure: a guess is kept and later stands beside the answer."""

from __future__ import annotations

from types import EllipsisType

from minillm.lesson.note import Note
from minillm.lesson.progress import Progress
from minillm.messages import say

Guess = float | str | EllipsisType
NEAR = 1.5  # times: a number within that of the answer is a good guess


def kept(
    progress: Progress, lesson: str, name: str, guess: Guess, unit: str, language: str
) -> Note:
    """Keep `guess`, unless the answer is known."""
    before = progress.of(lesson, "predictions").get(name)
    if before is not None and "measured" in before:
        return Note(say(language, "lessons.predicted_before", guess=_with_unit(before)))
    if isinstance(guess, EllipsisType):
        if before is None:
            progress.keep(lesson, "predictions", name, {"unit": unit})
        title = say(language, "lessons.no_guess")
        return Note(title, [say(language, "lessons.predict_first")], "hint")
    record: dict[str, float | str] = {"guess": guess, "unit": unit}
    progress.keep(lesson, "predictions", name, record)
    return Note(say(language, "lessons.predicted", guess=_with_unit(record)))


def compared(progress: Progress, lesson: str, name: str, value: float | str, language: str) -> Note:
    """The answer beside the guess; both are kept."""
    record = dict(progress.of(lesson, "predictions").get(name, {}))
    answer = _with_unit({"guess": value, "unit": record.get("unit", "")})
    title = say(language, "lessons.measured", value=answer)
    if "guess" not in record:
        return Note(title, [say(language, "lessons.not_predicted")])
    progress.keep(lesson, "predictions", name, {**record, "measured": value})
    guess = record["guess"]
    if isinstance(guess, str) or isinstance(value, str):
        near, distance = guess == value, ""
    else:
        times = max(guess, value) / min(guess, value) if min(guess, value) > 0 else float("inf")
        near = times <= NEAR
        higher = "lessons.guess_low" if value > guess else "lessons.guess_high"
        distance = say(language, higher, times=f"{times:.3g}")
    body = say(language, "lessons.your_guess", guess=_with_unit(record))
    verdict = say(language, "lessons.guess_near") if near else distance
    return Note(title, [" ".join(filter(None, (body, verdict)))], "good" if near else "plain")


def _with_unit(record: dict[str, float | str]) -> str:
    guess = record["guess"]
    number = (
        guess if isinstance(guess, str) else f"{guess:,.3g}" if guess < 1e3 else f"{guess:,.0f}"
    )
    return f"{number} {record['unit']}".rstrip()
