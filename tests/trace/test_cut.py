"""A stretch of a run as a trace of its own: the same states, the same waits, whole latencies."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_runs import record, runs

from minillm.trace import Header, Keyframe, Recorder, SequenceState, Trace, TraceError
from minillm.trace.culprits import UNEXPLAINED
from minillm.trace.perfetto import spans

RUN = record("vllm", seed=8, requests=14, num_blocks=16, fork=0.3).trace
LAST = len(RUN.steps) - 1
CUT_LINES = "".join(
    line + "\n" for line in RUN.with_note(LAST // 2, "x").trim(LAST // 2 - 4, LAST // 2 + 4).lines()
).encode()
HEADER = Header(
    block_size=4, num_blocks=8, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64
)


def _state(trace: Trace, n: int) -> dict[str, Any]:
    """The state after step n but its number, and who came from whom."""
    state = msgspec.to_builtins(trace.state_at(n).keyframe())
    del state["keyframe"]
    for sequence in state["sequences"]:
        sequence.pop("parent", None)
    return state


def _ends(trace: Trace, seed: int) -> tuple[int, int]:
    first, last = sorted(random.Random(seed).choices(range(len(trace.steps)), k=2))
    return first, last


@settings(max_examples=40, deadline=None)
@given(runs, st.integers(0, 999))
def test_a_stretch_is_what_it_was_in_the_run(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder, seed: int
) -> None:
    whole = recorder.trace
    if not whole.steps:
        return
    first, last = _ends(whole, seed)
    path = tmp_path_factory.getbasetemp() / "stretch.jsonl"
    whole.trim(first, last).save(path)
    cut = Trace.load(path)
    assert len(cut.steps) == last - first + 1
    assert cut.header.first_step == first
    for n in {0, (last - first) // 2, last - first}:
        assert _state(cut, n) == _state(whole, first + n)
        batch, other = cut.state_at(n), whole.state_at(first + n)
        assert batch.batch == other.batch
        assert batch.waits_by_sequence() == other.waits_by_sequence()
    assert list(cut.trim(0, last - first).lines()) == list(cut.lines())
    twice = whole.trim(first, len(whole.steps) - 1).trim(0, last - first)
    assert list(twice.lines()) == list(cut.lines())


@settings(max_examples=40, deadline=None)
@given(runs, st.integers(0, 999))
def test_figures_of_a_stretch(recorder: Recorder, seed: int) -> None:
    whole = recorder.trace
    if not whole.steps:
        return
    first, last = _ends(whole, seed)
    cut = whole.trim(first, last)
    begun = -1 if cut.base is None else cut.base.time
    end = whole.steps[last].start + whole.steps[last].duration
    told = {request.id: request for request in whole.requests}
    lives = cut.lives()
    for request in cut.requests:
        before = told[request.id]
        assert (request.arrival, request.rejected) == (before.arrival, before.rejected)
        assert request.token_times == [t for t in before.token_times if begun < t <= end]
        if request.rejected is not None:
            continue
        life = lives.requests[request.id]
        assert sum(segment.ns for segment in life.segments) == life.ns
        assert all(sum(s.culprits.values()) == s.ns for s in life.segments)
        if request.completed:
            assert request.first_token_at == before.first_token_at
            assert request.finished_at == before.finished_at == life.end
    figures = cut.metrics()
    arrivals = [r.arrival for r in cut.requests if r.rejected is None]
    since = max(min(arrivals, default=0), begun)
    assert figures["duration"] == pytest.approx((end - since) / 1e9)
    assert figures["total_output_tokens"] <= sum(len(r.token_times) for r in cut.requests)


def test_blame_in_a_stretch_is_that_of_the_run_but_for_what_came_before() -> None:
    """Cut at every step: what was booked from there on is what the whole run books there."""
    whole = RUN.lives()
    for first in range(1, LAST):
        cut = RUN.trim(first, LAST)
        assert cut.base is not None
        begun = cut.base.time
        for id, life in cut.lives().requests.items():
            same = whole.requests[id]
            assert life.end == same.end
            for segment in life.segments:
                if segment.kind == "cut":
                    assert segment.culprits[UNEXPLAINED] == begun - life.arrival
            later = [s.kind for s in same.segments if s.start >= RUN.steps[first].start]
            kinds = [s.kind for s in life.segments]
            assert not later or kinds[-len(later) :] == later


def test_memory_of_a_stretch_is_that_of_the_run() -> None:
    memories: list[dict[str, Any]] = [
        {}, {"kv_cache": "contiguous", "reserve": "max"}, {"kv_cache": "token"}
    ]  # fmt: skip
    for settings_ in memories:
        whole = record("vllm", seed=4, num_blocks=20, **settings_).trace
        memory = whole.memory()
        for first in (1, len(whole.steps) // 2):
            cut = whole.trim(first, len(whole.steps) - 1).memory()
            for kind in ("token", "external", "cached", "free", "unshared", "internal"):
                assert list(getattr(cut, kind)) == list(getattr(memory, kind))[first:], kind


def test_perfetto_and_sharing_of_a_stretch() -> None:
    cut = RUN.trim(LAST // 2, LAST)
    assert cut.base is not None
    assert len(cut.base.sequences) > 1
    by_id = {span.id: span for span in spans(cut)}
    for span in spans(RUN):
        if span.id in by_id:
            assert by_id[span.id].slices[-1][2] == span.slices[-1][2]
    for n in range(len(cut.steps)):
        assert cut.sharing(n).saved_blocks == RUN.sharing(LAST // 2 + n).saved_blocks


def test_notes_go_along() -> None:
    noted = RUN.with_note(3, "before").with_note(5, "in").with_note(9, "after")
    cut = noted.trim(4, 8)
    assert [(note.note, note.text) for note in cut.notes] == [(1, "in")]
    assert cut.trim(1, 2).header.first_step == 5
    assert [(note.note, note.text) for note in cut.trim(1, 2).notes] == [(0, "in")]


def test_the_ends_of_a_run() -> None:
    start = RUN.trim(0, 3)
    assert start.base is None
    assert start.header.minillm_trace == 1
    assert start.closing is not None
    assert start.closing.closing == "stopped"
    end = RUN.trim(5, LAST)
    assert end.closing == RUN.closing
    assert end.header.minillm_trace == 2
    assert list(RUN.trim(0, LAST).lines()) == list(RUN.lines())


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [(-1, 3, "no step -1"), (0, LAST + 1, "there is no step"), (5, 4, "from step 5 to step 4")],
)
def test_what_is_no_stretch_is_refused(first: int, last: int, why: str) -> None:
    with pytest.raises(TraceError, match=why):
        RUN.trim(first, last)


GOOD = {"id": "a", "phase": "decode", "arrival": 0, "prompt_len": 3, "max_tokens": 9,
        "target": 4, "computed": 3, "outputs": 1, "admitted_at": 1, "first_token_at": 2,
        "blocks": [0]}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"phase": "finished"}, "sequence a is in phase 'finished'"),
        ({"phase": "?"}, r"is in phase '\?'"),
        ({"blocks": [8]}, "outside the pool of 8"),
        ({"blocks": [1, 1]}, "holds a block twice"),
        ({"arrival": 11}, "has not arrived"),
        ({"computed": 5}, "has computed 5 of 4 tokens"),
        ({"first_token_at": None}, "has 1 output tokens"),
        ({"admitted_at": None}, "was never admitted"),
    ],
)
def test_a_state_that_cannot_be_is_refused(
    change: dict[str, Any], why: str, tmp_path: Path
) -> None:
    path = tmp_path / "state.jsonl"

    def write(*sequences: dict[str, Any]) -> None:
        base = {"keyframe": -1, "time": 10, "sequences": sequences}
        path.write_bytes(b"\n".join(map(msgspec.json.encode, (HEADER, base))) + b"\n")

    write(GOOD)
    assert [request.id for request in Trace.load(path).requests] == ["a"]
    write(GOOD | change)
    with pytest.raises(TraceError, match=f"line 2: the state before step 0: .*{why}"):
        Trace.load(path)
    write(GOOD, GOOD)
    with pytest.raises(TraceError, match="sequence a is there twice"):
        Trace.load(path)
    with pytest.raises(TraceError, match="cached block"):
        Trace(HEADER, base=Keyframe(keyframe=-1, cached=[8]))


def test_only_one_state_before_step_0(tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    header, base, *rest = RUN.trim(4, 9).lines()
    path.write_text("\n".join([header, base, base, *rest]) + "\n")
    with pytest.raises(TraceError, match="line 3: a second keyframe before step 0"):
        Trace.load(path)
    assert SequenceState(**GOOD).parent is None


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_one_wrong_byte_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "corrupt.jsonl"
    position = data.draw(st.integers(0, len(CUT_LINES) - 1))
    byte = data.draw(st.sampled_from(b'\0\n "0x]}[{9,:\x80'))
    path.write_bytes(CUT_LINES[:position] + bytes([byte]) + CUT_LINES[position + 1 :])
    try:
        trace = Trace.load(path)
    except TraceError as error:
        assert str(path) in str(error)  # noqa: PT017
        return
    trace.lives().matrix()
    trace.requests_table()
    trace.steps_table()
    spans(trace)
    for n in range(-1, len(trace.steps)):
        trace.sharing(n)
