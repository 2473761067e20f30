"""Trace: seeking, requests, and what importing it does not import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_runs import record, runs

from minillm.trace import Recorder, State, Trace, TraceError, apply
from minillm.trace.lines import decode
from minillm.trace.records import Keyframe


@pytest.fixture(scope="module")
def long_trace() -> Trace:
    trace = record("vllm", seed=11, requests=150).trace
    assert len(trace) > 512
    return trace


def test_seeking_anywhere_equals_folding_there(long_trace: Trace) -> None:
    state = State(long_trace.header.num_blocks)
    assert long_trace.state_at(-1).keyframe() == state.keyframe()
    for n, step in enumerate(long_trace.steps):
        apply(state, step)
        if n % 37 == 0 or n % 256 in (0, 1, 255):
            sought = long_trace.state_at(n)
            assert sought.keyframe() == state.keyframe()
            assert sought.batch == state.batch
            assert sought.load == state.load


def test_keyframes_in_the_file_equal_the_fold(long_trace: Trace) -> None:
    keyframes = [r for r in map(decode, map(str.encode, long_trace.lines())) if type(r) is Keyframe]
    assert [k.keyframe for k in keyframes] == [255, 511]
    for keyframe in keyframes:
        assert keyframe == long_trace.state_at(keyframe.keyframe).keyframe()


def test_a_keyframe_that_lies_is_refused(long_trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "lie.jsonl"
    long_trace.save(path)
    text = path.read_text(encoding="utf-8")
    start = text.index('{"keyframe":255')
    path.write_text(
        text[:start] + text[start:].replace('"computed":', '"computed":1', 1), encoding="utf-8"
    )
    with pytest.raises(TraceError, match="line 258: keyframe of step 255 differs"):
        Trace.load(path)


def test_a_state_is_the_readers_own(long_trace: Trace) -> None:
    state = long_trace.state_at(300)
    before = state.keyframe()
    for step in long_trace.steps[301:]:
        apply(state, step)
    assert long_trace.state_at(300).keyframe() == before


def test_there_is_no_step_beyond_the_end(long_trace: Trace) -> None:
    for n in (-2, len(long_trace)):
        with pytest.raises(IndexError, match=f"no step {n}"):
            long_trace.state_at(n)


@settings(max_examples=25)
@given(runs, st.integers(0, 10_000))
def test_requests_agree_with_the_engine(recorder: Recorder, cut: int) -> None:
    trace = recorder.trace
    served = [r for r in trace.requests if r.rejected is None]
    last = {s.id: s for n in range(len(trace)) for s in trace.state_at(n).sequences.values()}
    for request in served:
        sequence = last[request.id]
        assert request.completed
        assert len(request.token_times) == request.output_len == sequence.outputs
        assert request.token_times == sorted(request.token_times)
        assert request.first_token_at == request.token_times[0] == sequence.first_token_at
        assert request.finished_at == sequence.finished_at
        assert request.admitted_at == sequence.admitted_at
        assert request.preemptions == sequence.preemptions
        assert request.text == sequence.text
        gaps = trace.gaps
        mine = [g for g, id in zip(gaps.gap, gaps.request, strict=True) if id == request.id]
        assert mine == request.itl
    # A view that reads on and off sees the same as one that comes at the end.
    growing = Trace(recorder.header, [])
    for n, step in enumerate(trace.steps):
        growing.steps.append(step)
        if n == cut % len(trace.steps):
            assert len(growing.requests) <= len(trace.requests)
    growing.closing = trace.closing
    assert growing.requests == trace.requests


@settings(max_examples=40)
@given(runs)
def test_the_point_is_the_first_step_that_loses_most(recorder: Recorder) -> None:
    trace = recorder.trace
    state, lost = trace.state_at(-1), []
    for step in trace.steps:
        waits = apply(state, step).waits_by_sequence()
        assert len(waits) <= state.most_waits()
        lost.append(len(waits) * step.duration)
    assert trace.point == (lost.index(max(lost)) if any(lost) else None)


@settings(max_examples=40)
@given(runs, st.integers(0, 40))
def test_gaps_asked_for_on_the_way_are_the_same(recorder: Recorder, cut: int) -> None:
    whole = Trace(recorder.trace.header, list(recorder.trace.steps)).gaps
    trace = Trace(recorder.trace.header, recorder.trace.steps[:cut])
    assert len(trace.gaps.end) <= len(whole.end)
    trace.steps += recorder.trace.steps[cut:]
    later = trace.gaps
    assert list(later.end) == sorted(later.end)
    ordered = sorted(zip(whole.end, whole.gap, whole.request, strict=True))
    assert sorted(zip(later.end, later.gap, later.request, strict=True)) == ordered


def test_rejected_requests_are_told() -> None:
    trace = record(num_blocks=6, requests=30).trace
    rejected = [r for r in trace.requests if r.rejected]
    assert rejected
    assert "can never fit the KV pool" in (rejected[0].rejected or "")
    assert not rejected[0].completed


def test_an_empty_trace_answers_everything() -> None:
    trace = Trace(record().header)
    assert trace.requests == []
    assert trace.duration == 0
    assert trace.state_at(-1).sequences == {}
    assert trace.metrics()["completed"] == 0
    assert trace.blame().requests == {}
    assert "0 steps" in repr(trace)


def test_repr_tells_what_it_is(long_trace: Trace) -> None:
    assert repr(long_trace).startswith(f"<Trace vllm: {len(long_trace)} steps, 150 requests, ")


def test_same_run_same_bytes_in_any_process(tmp_path: Path) -> None:
    here = record("vllm", seed=4, requests=40, num_blocks=14).trace
    code = (
        "import sys; from recorded_runs import record;"
        ' record("vllm", seed=4, requests=40, num_blocks=14).trace.save(sys.argv[1])'
    )
    for hash_seed in ("1", "2"):
        path = tmp_path / f"{hash_seed}.jsonl"
        folders = os.pathsep.join(folder for folder in sys.path if folder)
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": folders}
        subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=True)
        assert path.read_text(encoding="utf-8").splitlines() == list(here.lines())


def test_a_page_holds_every_record(tmp_path: Path) -> None:
    trace = record(requests=2).trace
    trace.to_html(tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert page.count('"d":') >= len(trace)
    assert "<!doctype html>" in page[:40].lower()


def test_reading_traces_is_light() -> None:
    heavy = "torch transformers altair numpy streamlit".split()
    code = (
        "import sys, minillm.trace, minillm.trace.metrics, minillm.trace.blame,"
        " minillm.trace.narrate, minillm.trace.perfetto, minillm.charts.series;"
        f" print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
