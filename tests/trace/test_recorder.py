"""The recorder: what it keeps, what it writes, and what a full disk does to it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec
import pytest
from fakes import fake_engine
from recorded_runs import header_for, record

from minillm.request import SamplingParams
from minillm.trace import Recorder, Trace, TraceError
from minillm.trace.lines import encode


def test_the_file_is_what_saving_would_write(tmp_path: Path) -> None:
    streamed, saved = tmp_path / "streamed.jsonl", tmp_path / "saved.jsonl"
    recorder = record("vllm", seed=5, requests=110, path=streamed)
    assert len(recorder.trace) > 256  # with a keyframe between
    recorder.trace.save(saved)
    assert streamed.read_bytes() == saved.read_bytes()
    assert b'\n{"keyframe":255,' in streamed.read_bytes()


def test_each_step_is_on_disk_as_soon_as_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    engine = fake_engine("sarathi", block_size=4, num_blocks=20)
    recorder = Recorder(header_for(engine), path)
    engine.hooks.on("step", recorder.on_step)
    engine.add_request([1, 2, 3], SamplingParams(temperature=0, max_tokens=5, ignore_eos=True))
    for count in range(1, 6):
        engine.step()
        trace = Trace.load(path)  # as after a crash
        assert len(trace) == count
        assert trace.closing is None
    recorder.close()
    assert Trace.load(path).closing is not None


def test_steps_and_lines_since() -> None:
    recorder = record(close=False)
    steps = recorder.trace.steps
    assert recorder.steps_since(3) == steps[3:]
    assert recorder.steps_since(len(steps)) == []
    lines = recorder.encoded_since(0)
    assert lines == [encode(step) for step in steps]
    assert recorder.encoded_since(4)[0] is lines[4]  # encoded once
    assert recorder.encoded_since(len(steps) + 9) == []


def test_a_streaming_recorder_hands_out_the_lines_it_wrote(tmp_path: Path) -> None:
    recorder = record(path=tmp_path / "run.jsonl")
    written = (tmp_path / "run.jsonl").read_bytes().splitlines()
    assert recorder.encoded_since(0) == [line for line in written if line.startswith(b'{"n"')]


def test_closing_takes_the_last_events_and_happens_once(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    engine = fake_engine("sarathi", block_size=4, num_blocks=20)
    recorder = Recorder(header_for(engine), path)
    engine.hooks.on("step", recorder.on_step)
    id = engine.add_request([1, 2, 3], SamplingParams(max_tokens=5))
    engine.step()
    engine.abort(id)
    assert recorder.trace.requests[0].finish_reason is None
    recorder.close(engine.pending_events, how="stopped", time=engine.clock.now)
    recorder.close((), how="complete")
    for trace in (recorder.trace, Trace.load(path)):
        assert trace.requests[0].finish_reason == "abort"
        assert trace.closing is not None
        assert trace.closing.closing == "stopped"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_stops_the_file_and_nothing_else() -> None:
    with pytest.warns(RuntimeWarning, match="No space left on device") as warned:
        recorder = record(path="/dev/full")
    assert len(warned) == 1
    assert recorder.problem is not None
    assert "/dev/full" in recorder.problem
    assert recorder.trace.steps == record().trace.steps


def test_a_disk_that_fills_up_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, room = tmp_path / "run.jsonl", [2_000]
    write = os.write

    def limited(fd: int, data: bytes) -> int:
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        written = write(fd, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", limited)
    with pytest.warns(RuntimeWarning, match="stopped: No space left"):
        recorder = record(path=path)
    monkeypatch.undo()
    trace = Trace.load(path)
    assert 0 < len(trace) < len(recorder.trace)
    assert trace.steps == recorder.trace.steps[: len(trace)]
    assert not trace.truncated
    assert recorder.problem is not None
    assert f"before step {len(trace)};" in recorder.problem


def test_a_step_that_contradicts_the_others_ends_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    steps = record().trace.steps
    recorder = Recorder(record().header, path)
    recorder.on_step(steps[0])
    with pytest.warns(RuntimeWarning, match="stopped: step 1: prefill of"):
        recorder.on_step(msgspec.structs.replace(steps[1], prefills=(("r0", 999),)))
    recorder.close()
    assert len(recorder.trace.steps) == 2
    assert Trace.load(path).steps == steps[:1]


def test_an_earlier_trace_is_overwritten_and_anything_else_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    record(path=path, requests=20)
    record(path=path, requests=1)
    assert len(Trace.load(path).requests) == 1
    path.write_text("a novel")
    with pytest.raises(TraceError, match="is not a trace; it is not overwritten"):
        record(path=path)
    assert path.read_text() == "a novel"


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "such.jsonl"):
        with pytest.raises(TraceError, match="cannot record to"):
            record(path=path)


def test_keeping_nothing_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    kept = record(seed=2)
    recorder = Recorder(kept.header, path, keep=False)
    for step in kept.trace.steps:
        recorder.on_step(step)
    assert recorder.steps_since(0) == []
    assert recorder.encoded_since(0) == []
    recorder.close(time=kept.trace.steps[-1].start + 10**12)
    assert recorder.trace.steps == kept.trace.steps
    with pytest.raises(ValueError, match="without a path"):
        Recorder(kept.header, keep=False)


def test_a_recorder_attached_too_late_says_so() -> None:
    steps = record().trace.steps
    with pytest.raises(TraceError, match="expected step 0 and got 3: attach it before"):
        Recorder(record().header).on_step(steps[3])


def test_views_read_while_the_engine_writes() -> None:
    steps = record("vllm", seed=1, requests=80).trace.steps
    recorder = Recorder(record().header)
    trouble: list[BaseException] = []
    done = threading.Event()

    def view() -> None:
        try:
            lines: list[bytes] = []
            while not done.is_set() or len(lines) < len(steps):
                lines += recorder.encoded_since(len(lines))
                trace = recorder.trace
                known = len(trace)
                if known:
                    assert trace.state_at(known - 1).index == known - 1
                    assert len(trace.series.end) >= known
                trace.metrics()
            assert lines == [encode(step) for step in steps]
        except BaseException as error:
            trouble.append(error)

    views = [threading.Thread(target=view) for _ in range(2)]
    for thread in views:
        thread.start()
    for step in steps:
        recorder.on_step(step)
    done.set()
    for thread in views:
        thread.join()
    assert not trouble
