"""Notes pinned to steps: kept in the file, carried along, and harmless to the run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from recorded_runs import record

from minillm.trace import Note, Trace, TraceError

RUN = record("sarathi", seed=3, requests=6).trace
WORDS = '<b onclick="x()">看</b> {step}\u2028 & **what** happens'


def _noted() -> Trace:
    last = len(RUN.steps) - 1
    return RUN.with_note(last, "the end").with_note(2, WORDS, by="老师").with_note(2, "second")


def test_notes_survive_the_file_in_order(tmp_path: Path) -> None:
    path = tmp_path / "noted.jsonl"
    noted = _noted()
    assert [note.note for note in noted.notes] == [2, 2, len(RUN.steps) - 1]
    assert [note.text for note in noted.notes][:2] == [WORDS, "second"]
    noted.save(path)
    loaded = Trace.load(path)
    assert loaded.notes == noted.notes
    assert loaded.header == noted.header
    assert list(loaded.lines()) == list(noted.lines())


def test_a_run_is_the_same_with_notes() -> None:
    noted = _noted()
    assert noted.steps == RUN.steps
    assert noted.closing == RUN.closing
    assert noted.requests == RUN.requests
    assert noted.blame() == RUN.blame()
    assert RUN.notes == ()
    assert list(noted.with_notes(()).lines()) == list(RUN.lines())


def test_a_file_says_the_version_that_its_lines_need() -> None:
    assert RUN.header.minillm_trace == 1
    assert _noted().header.minillm_trace == 2
    assert _noted().with_notes([]).header.minillm_trace == 1


def test_a_file_that_is_cut_keeps_the_notes_on_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text("\n".join(list(_noted().lines())[:8]) + '\n{"n":')
    cut = Trace.load(path)
    assert cut.truncated
    assert [note.note for note in cut.notes] == [2, 2]


def test_notes_stand_behind_keyframes(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    run = record("vllm", requests=120).trace
    assert len(run.steps) > 256
    run.with_note(255, "here").with_note(256, "and here").save(path)
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    at = next(i for i, line in enumerate(lines) if "note" in line)
    assert [next(iter(line)) for line in lines[at - 2 : at + 3]] == [
        "n", "keyframe", "note", "n", "note"
    ]  # fmt: skip
    assert len(Trace.load(path).notes) == 2


@pytest.mark.parametrize(
    ("step", "text", "why"),
    [
        (-1, "x", "there is no step -1: the trace has steps 0 to "),
        (len(RUN.steps), "x", "there is no step"),
        (0, " \n", "the note on step 0 is empty"),
        (0, "x" * 2_001, "has 2,001 characters; at most 2,000"),
    ],
)
def test_what_cannot_be_pinned_is_refused(step: int, text: str, why: str) -> None:
    with pytest.raises(TraceError, match=why):
        RUN.with_note(step, text)
    with pytest.raises(TraceError, match="the trace has no steps"):
        Trace(RUN.header).with_notes([Note(note=0, text="x")])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"note":0,"text":"early"}', "line 2: note on step 0 behind step -1"),
        ('{"note":-1,"text":"early"}', "line 2: note on step -1 behind step -1"),
        ('{"note":0,"text":""}', "line 2: .*is empty"),
        ('{"note":0}', "line 2: .*text"),
    ],
)
def test_a_note_that_stands_wrong_is_refused(line: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.jsonl"
    header, *rest = _noted().lines()
    path.write_text("\n".join([header, line, *rest]) + "\n")
    with pytest.raises(TraceError, match=why):
        Trace.load(path)


def test_the_page_carries_them_as_text(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    _noted().to_html(path)
    page = path.read_text(encoding="utf-8")
    assert "\\u003cb onclick" in page
    assert "<b onclick" not in page
