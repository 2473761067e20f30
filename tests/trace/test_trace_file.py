"""Trace files: there and back, cut off, corrupt, foreign; and saving that destroys nothing."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_runs import record, runs

from minillm.events import (
    Added,
    Cached,
    Copied,
    Finished,
    Forked,
    Preempted,
    Step,
    SwappedIn,
    SwappedOut,
    Unknown,
)
from minillm.trace import Closing, Header, Recorder, Trace, TraceError
from minillm.trace.lines import decode, encode

HEADER = Header(
    block_size=4, num_blocks=8, max_num_seqs=2, max_num_batched_tokens=8, max_model_len=32
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trace, bytes]:
    """A short trace with every kind of line, and its bytes."""
    path = tmp_path_factory.mktemp("saved") / "run.jsonl"
    trace = record(
        "sarathi",
        seed=3,
        requests=3,
        num_blocks=14,
        fork=1.0,
        preemption="swap",
        num_cpu_blocks=12,
        path=path,
    ).trace
    happened = {type(event) for step in trace.steps for event in (*step.events, *step.after)}
    assert {Forked, Copied, SwappedOut, SwappedIn, Preempted} <= happened
    return trace, path.read_bytes()


@settings(max_examples=20, deadline=None)
@given(runs)
def test_there_and_back(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> None:
    path = tmp_path_factory.mktemp("there") / "run.jsonl"
    trace = recorder.trace
    trace.save(path)
    loaded = Trace.load(path)
    assert loaded.header == trace.header
    assert loaded.steps == trace.steps
    assert loaded.closing == trace.closing
    assert loaded.requests == trace.requests
    assert not loaded.truncated
    assert list(loaded.lines()) == path.read_text(encoding="utf-8").splitlines()


def test_every_event_kind_survives(saved: tuple[Trace, bytes]) -> None:
    trace, data = saved
    assert list(trace.encoded()) == data.splitlines()
    steps = [record for record in map(decode, data.splitlines()) if isinstance(record, Step)]
    assert steps == trace.steps
    for line in data.splitlines():
        assert encode(decode(line)) == line


def test_unknown_event_kinds_are_kept_and_written_back(tmp_path: Path) -> None:
    path = tmp_path / "future.jsonl"
    fork = ["fork", "a", ["a.1"], {"why": None, "score": 1.5}]
    step = {
        "n": 0, "t": 0, "d": 1, "p": [["a", 2]],
        "e": [["added", "a", 0, 2, 3, None, None, 0], fork, ["admitted", "a", 0]],
        "a": [["finished", "a", "length"], ["drop", "a.1"]],
    }  # fmt: skip
    closing = {"closing": "complete", "time": 1, "events": [["later", 1]]}
    path.write_bytes(b"\n".join(map(msgspec.json.encode, (HEADER, step, closing))) + b"\n")
    trace = Trace.load(path)
    assert trace.steps[0].events[1] == Unknown(("fork", "a", ["a.1"], {"why": None, "score": 1.5}))
    assert [r.finish_reason for r in trace.requests] == ["length"]
    again = tmp_path / "again.jsonl"
    trace.save(again)
    assert msgspec.json.decode(again.read_bytes().splitlines()[1])["e"][1] == fork
    assert Trace.load(again).steps == trace.steps
    closing_line = msgspec.json.decode(again.read_bytes().splitlines()[2])
    assert closing_line == closing


def test_an_unfinished_last_line_is_dropped(saved: tuple[Trace, bytes], tmp_path: Path) -> None:
    trace, data = saved
    path = tmp_path / "cut.jsonl"
    lines = data.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:-1])
    cut = Trace.load(path)
    assert cut.truncated
    assert cut.closing is None
    assert cut.steps == trace.steps[:4]
    path.write_bytes(b"".join(lines[:5]))
    assert not Trace.load(path).truncated


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_one_wrong_byte_is_refused_or_harmless(
    saved: tuple[Trace, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    _corrupt(saved[1], tmp_path_factory.getbasetemp(), data.draw(st.integers(0, len(saved[1]) - 1)),
             data.draw(st.integers(0, 255)))  # fmt: skip


@pytest.mark.full
def test_every_wrong_byte_is_refused_or_harmless(
    saved: tuple[Trace, bytes], tmp_path: Path
) -> None:
    for position in range(len(saved[1])):
        for byte in b'\0\n "0x]}\x80\xff':
            _corrupt(saved[1], tmp_path, position, byte)


def _corrupt(data: bytes, folder: Path, position: int, byte: int) -> None:
    path = folder / "corrupt.jsonl"
    path.write_bytes(data[:position] + bytes([byte]) + data[position + 1 :])
    try:
        trace = Trace.load(path)
    except TraceError as error:
        assert str(path) in str(error)  # noqa: PT017
        return
    trace.metrics()
    trace.blame()
    for n in range(-1, len(trace.steps)):
        trace.state_at(n)


def _lines(*records: object) -> bytes:
    return b"".join(msgspec.json.encode(each) + b"\n" for each in records)


STEP = Step(index=0, start=0, duration=1, events=(Added("a", 0, 3, 1),))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b'{"minillm_trace":1', "breaks off within its first line"),
        (gzip.compress(b"x" * 99, mtime=0), "compressed"),
        (b"\x7fELF\0\0\0\n", "binary"),
        (b"TIMESTAMP,ContextTokens\n1,2\n", "not a minillm trace"),
        (b'[{"ph": "X"}]\n', "not a minillm trace"),
        (b'{"n":0,"t":0,"d":0}\n', "not a minillm trace"),
        (b"\xff\xfe\xfd\n", "not a minillm trace"),
        (b'{"minillm_trace":99}\n', "format 99, newer than the 2"),
        (b'{"minillm_trace":1}\n', r"line 1: .*block_size"),
        (_lines({**msgspec.to_builtins(HEADER), "num_blocks": 0}), "line 1: num_blocks is 0"),
        (_lines(HEADER, HEADER), "line 2: a second header"),
        (_lines(HEADER) + b"\n", "line 2: "),
        (_lines(HEADER) + b"{}\n", "line 2: neither a header"),
        (_lines(HEADER) + b"[" * 100_000 + b"\n", "line 2: "),
        (_lines(HEADER) + b'{"n":0,"t":0,"d":0,"e":[["admitted"]]}\n', "line 2: "),
        (_lines(HEADER) + b'{"n":0,"t":0,"d":0,"e":[[]]}\n', "led by its kind"),
        (_lines(HEADER, Step(index=1, start=0, duration=0)), "line 2: step 1 where step 0"),
        (_lines(HEADER, STEP, STEP), "line 3: step 0 where step 1"),
        (_lines(HEADER, STEP, {"keyframe": 7}), "line 3: keyframe of step 7"),
        (
            _lines(HEADER, Step(index=0, start=0, duration=1, events=(Cached((8,)),))),
            "line 2: step 0: block 8 of a pool of 8 is cached",
        ),
        (_lines(HEADER, STEP, {"keyframe": 0}), "line 3: keyframe of step 0 differs"),
        (_lines(HEADER, Closing(closing="complete", time=0), STEP), "line 3: follows the closing"),
        (
            _lines(HEADER, STEP, Step(index=1, start=0, duration=1)),
            "line 3: step 1: starts at 0 ns, before",
        ),
        (_lines(HEADER, Step(index=0, start=0, duration=10**30)), "line 2: step 0: ends at 10"),
        (_lines(HEADER, Closing(closing="complete", time=10**30)), "line 2: the run is closed at"),
        (
            _lines(HEADER, Closing(closing="complete", time=0, events=(Finished("x", "stop"),))),
            "line 2: speaks of sequence 'x'",
        ),
    ],
)
def test_what_is_no_trace_is_refused_with_the_reason(
    data: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(data)
    with pytest.raises(TraceError, match=message) as caught:
        Trace.load(path)
    assert str(path) in str(caught.value)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is a folder"):
        Trace.load(tmp_path)
    with pytest.raises(TraceError, match="there is no file"):
        Trace.load(tmp_path / "nowhere.jsonl")


def test_a_failed_save_keeps_what_was_there(
    saved: tuple[Trace, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("precious")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TraceError, match=r"cannot save to .*run.jsonl: No space left on device"):
        saved[0].save(path)
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["run.jsonl"]


def test_saving_where_no_file_can_be(saved: tuple[Trace, bytes], tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "no" / "such.jsonl", Path("/dev/full")):
        with pytest.raises(TraceError, match="cannot save to"):
            saved[0].save(target)
    assert os.listdir(tmp_path) == []


def test_saving_through_a_link_keeps_the_link(saved: tuple[Trace, bytes], tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "real.jsonl")
    saved[0].save(link)
    assert link.is_symlink()
    assert (tmp_path / "real.jsonl").read_bytes() == saved[1]


def test_loading_says_how_far_it_is(
    saved: tuple[Trace, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(saved[1])
    monkeypatch.setattr("minillm.trace.file.TELL_EVERY", 4)
    shares: list[float] = []
    Trace.load(path, shares.append)
    assert len(shares) == saved[1].count(b"\n") // 4
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.2
    assert 0.9 < shares[-1] <= 1
