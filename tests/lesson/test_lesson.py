"""What a lesson says below its cells, and what it keeps."""

from __future__ import annotations

import pytest
from wrong_attends import RIGHT, WRONG, function

from minillm.lesson import begin
from minillm.lesson.lesson import Lesson, NotYet
from minillm.lesson.note import Note, Table
from minillm.lesson.progress import Progress


def test_a_prediction_stands_beside_what_was_measured(lesson: Lesson, progress: Progress) -> None:
    assert "3 times" in str(lesson.predict("token", 3, unit="times"))
    assert "4 times" in str(lesson.predict("token", 4, unit="times"))
    told = str(lesson.measured("token", 20.0))
    assert "Measured: 20 times" in told
    assert "You predicted 4 times. That is 5 times as much" in told
    assert "You predicted 4 times" in str(lesson.predict("token", 20, unit="times"))
    kept = progress.of("01_one_request", "predictions")
    assert kept == {"token": {"guess": 4, "unit": "times", "measured": 20.0}}


@pytest.mark.parametrize(
    ("guess", "measured", "said"),
    [
        (10, 12.0, "Well judged"),
        (12, 4.0, "You thought of 3 times as much"),
        (0, 4.0, "inf times"),
        ("rises", "rises", "Well judged"),
        ("falls", "rises", "You predicted falls."),
        (..., 4.0, "You made no prediction"),
    ],
)
def test_how_far_off_one_was(lesson: Lesson, guess: float, measured: float, said: str) -> None:
    lesson.predict("guess", guess)
    assert said in str(lesson.measured("guess", measured))


def test_a_check_is_counted_and_what_was_passed_stays_so(
    lesson: Lesson, progress: Progress
) -> None:
    for code in (WRONG["no mask"][1], RIGHT[0], WRONG["no mask"][2]):
        note = lesson.check(function(code))
    assert note.kind == "bad"
    assert "✗ attend is not right yet" in str(note)
    kept = progress.of("01_one_request", "checks")
    assert kept == {"attend": {"passed": True, "attempts": 3}}


def test_a_cell_waits_for_the_very_function_that_passed(lesson: Lesson) -> None:
    right, other = function(RIGHT[0]), function(RIGHT[1])
    with pytest.raises(NotYet, match=r"check\(attend\)"):
        lesson.needs(right)
    assert "✓ attend passes" in str(lesson.check(right))
    lesson.needs(right)
    with pytest.raises(NotYet):
        lesson.needs(other)
    lesson.check(function(WRONG["no mask"][1]))
    with pytest.raises(NotYet):
        lesson.needs(right)


def test_hints_open_one_at_a_time(lesson: Lesson) -> None:
    attend = function(RIGHT[0])
    for opened in (1, 2, 3, 4, 4):
        told = str(lesson.hint(attend))
        assert f"Hint {opened} of 4" in told
        assert f"{opened}. " in told
        assert f"{opened + 1}. " not in told
        assert ("solutions/01_one_request.ipynb" in told) == (opened == 4)


def test_only_the_lessons_functions_are_checked(lesson: Lesson) -> None:
    with pytest.raises(ValueError, match="attend"):
        lesson.check(print)


def test_a_lesson_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="01_one_request"):
        begin("99_nothing")
    with pytest.raises(KeyError, match="it speaks"):
        begin("01_one_request", "tlh")


def test_a_progress_file_that_cannot_be_read_counts_as_none(progress: Progress) -> None:
    progress.path.parent.mkdir()
    progress.path.write_text("{")
    assert progress.lessons() == {}
    progress.keep("01_one_request", "hints", "attend", 1)
    assert progress.of("01_one_request", "hints") == {"attend": 1}
    assert [path.name for path in progress.path.parent.iterdir()] == ["lessons.json"]


def test_what_is_shown_is_text_and_no_markup() -> None:
    shown = Note("<b>", ["<i>"], code="<u>")._repr_html_()
    shown += Table(["<b>"], [["<i>"]])._repr_html_()
    for tag in ("<b>", "<i>", "<u>"):
        assert tag not in shown


def test_a_table_in_a_terminal() -> None:
    lines = repr(Table(["what", "ms"], [["one", 1234.5], ["three", 0.12345], ["n", 12345]]))
    assert lines.split() == ["what", "ms", "one", "1,234", "three", "0.123", "n", "12,345"]
