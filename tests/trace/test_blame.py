"""Blame: every nanosecond has one culprit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recorded_runs import MEMORIES, SWAPS, record, runs

from minillm.events import (
    ALL_RUNNING,
    ALL_WAITING,
    BATCH,
    Added,
    Admitted,
    Alloc,
    Done,
    Finished,
    Forked,
    Free,
    Preempted,
    Step,
    SwappedIn,
    SwappedOut,
    Wait,
    WaitReason,
)
from minillm.scheduling import SYSTEMS
from minillm.trace import Header, Recorder, Trace
from minillm.trace.culprits import IDLE, ITSELF, UNEXPLAINED, split

HEADER = Header(
    block_size=4, num_blocks=10, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64
)


def _blame(*steps: Step) -> dict[str, dict[str, dict[str, int]]]:
    return Trace(HEADER, list(steps)).blame().requests


def _step(index: int, start: int, duration: int, **more: Any) -> Step:
    return Step(index=index, start=start, duration=duration, **more)


A_STARTS = _step(
    0, 0, 10, events=(Added("a", 0, 6, 9), Admitted("a"), Alloc("a", (0, 1))), prefills=(("a", 6),)
)


def _exact(trace: Trace) -> None:
    blame = trace.blame()
    for request in trace.requests:
        if request.finished_at is not None:
            total = sum(blame.of(request.id).values())
            assert total == request.finished_at - request.arrival, request
            assert total == sum(blame.by_kind(request.id).values())


@settings(max_examples=60)
@given(runs)
def test_the_culprits_add_up_to_the_latency(recorder: Recorder) -> None:
    _exact(recorder.trace)


@settings(max_examples=30)
@given(
    st.sampled_from(sorted(SYSTEMS)),
    st.integers(0, 999),
    st.sampled_from(MEMORIES),
    st.sampled_from(SWAPS),
    st.lists(st.integers(1, 30), max_size=3),
)
def test_also_with_aborts_and_failures(
    scheduler: str, seed: int, memory: Any, swap: Any, fail_at: list[int]
) -> None:
    recorder = record(
        scheduler, seed=seed, abort=0.1, fork=0.3, fail_at=fail_at, num_blocks=20, **memory, **swap
    )
    _exact(recorder.trace)


@settings(max_examples=30)
@given(runs)
def test_all_is_explained_but_giving_way_to_oneself(recorder: Recorder) -> None:
    for kinds in recorder.trace.blame().requests.values():
        for kind, culprits in kinds.items():
            assert UNEXPLAINED not in culprits or kind == "preempted"


@given(
    st.integers(0, 10**12), st.dictionaries(st.text(max_size=2), st.integers(0, 10**6), min_size=1)
)
@example(10, {"a": 1, "b": 1, "c": 1})
def test_a_split_is_exact_and_fair(total: int, weights: dict[str, int]) -> None:
    parts = split(total, weights)
    whole = sum(weights.values())
    assert sum(parts.values()) == total
    if whole:
        for id, weight in weights.items():
            assert abs(parts[id] * whole - total * weight) < whole


def test_a_waiting_group_pays_the_head_and_the_head_pays_the_holders() -> None:
    waits = (
        Wait("b", WaitReason.NO_KV_BLOCKS, (ALL_RUNNING,), 9, 8),
        Wait(ALL_WAITING, WaitReason.HEAD_OF_LINE, ("b",)),
    )
    found = _blame(
        A_STARTS,
        _step(1, 10, 7, events=(Added("b", 4, 6, 9), Added("c", 10, 6, 9)), waits=waits),
        _step(2, 17, 5, events=(Added("d", 17, 1, 1),)),
        _step(3, 30, 3),
    )
    assert found["b"] == {"queue": {"a": 6 + 15}, "idle": {IDLE: 8}}
    assert found["c"] == {"queue": {"b": 15}, "idle": {IDLE: 8}}
    assert found["d"] == {"queue": {"b": 8}, "idle": {IDLE: 8}}
    assert found["a"] == {"prefill": {ITSELF: 10}, "decode": {ITSELF: 15}, "idle": {IDLE: 8}}


def test_a_prefill_beside_a_decode_interferes_by_its_tokens() -> None:
    arrive = (Added("b", 10, 7, 9), Admitted("b"), Alloc("b", (2, 3)))
    found = _blame(A_STARTS, _step(1, 10, 9, events=arrive, prefills=(("b", 7),)))
    # 9 ns over 7 prefill tokens and 1 decode token: 7.875 and 1.125.
    assert found["a"]["interference"] == {"b": 8}
    assert found["a"]["prefill"] == {ITSELF: 10}
    assert found["a"]["decode"] == {ITSELF: 1}
    assert found["b"] == {"prefill": {ITSELF: 9}}


def test_a_stalled_decode_pays_those_who_prefill() -> None:
    arrive = tuple(
        event
        for id, block in (("b", 2), ("c", 3))
        for event in (Added(id, 10, 4, 9), Admitted(id), Alloc(id, (block,)))
    )
    stall = (Wait(ALL_RUNNING, WaitReason.PREFILL_IN_PROGRESS, (BATCH,)),)
    prefills = (("b", 1), ("c", 3))
    found = _blame(A_STARTS, _step(1, 10, 8, events=arrive, prefills=prefills, waits=stall))
    assert found["a"]["stall"] == {"b": 2, "c": 6}


def test_preemption_is_owed_to_whom_it_made_room_for() -> None:
    both = (Added("z", 0, 4, 9), Admitted("z"), Alloc("z", (2,)))
    starts = _step(
        0, 0, 10, events=(*A_STARTS.events, *both), prefills=(("a", 6), ("z", 4))
    )  # fmt: skip
    lost = (Free("z"), Preempted("z", "a"))
    found = _blame(
        starts,
        _step(1, 10, 4, events=lost, waits=(Wait("z", WaitReason.PREEMPTED, ("a",)),)),
        _step(2, 14, 5, events=(Admitted("z"), Alloc("z", (2, 3))), prefills=(("z", 5),), waits=()),
        _step(3, 19, 2),
    )
    assert found["z"]["preempted"] == {"a": 4}
    assert found["z"]["recompute"] == {"a": 5}
    assert found["z"]["prefill"] == {ITSELF: 10}
    assert found["z"]["decode"] == {ITSELF: 2}


def test_who_was_swapped_out_pays_for_the_wait_and_computes_nothing_again() -> None:
    out = (SwappedOut("a", ((0, 0), (1, 1)), (0, 1)), Preempted("a", "b"))
    arrive = (*out, Added("b", 10, 6, 9), Admitted("b"), Alloc("b", (0, 1)))
    waits = (Wait("a", WaitReason.PREEMPTED, ("b",)),)
    back = (Admitted("a"), Alloc("a", (2, 3)), SwappedIn("a", ((0, 2), (1, 3))))
    found = _blame(
        A_STARTS,
        _step(1, 10, 4, events=arrive, prefills=(("b", 6),), waits=waits),
        _step(2, 14, 5, events=back, waits=()),
    )
    assert found["a"] == {
        "prefill": {ITSELF: 10}, "preempted": {"b": 4}, "decode": {ITSELF: 5}
    }  # fmt: skip


def test_a_fork_has_lived_the_life_of_its_parent() -> None:
    start = _step(
        0, 5, 10, events=A_STARTS.events, prefills=(("a", 6),),
        after=(Forked("a", "a.1", (0, 1)), Forked("a", "a.2", ()), Preempted("a.2")),
    )  # fmt: skip
    wait = (Wait(ALL_WAITING, WaitReason.NO_KV_BLOCKS, (ALL_RUNNING,), 2, 1),)
    again = (Admitted("a.2"), Alloc("a.2", (4, 5)))
    found = _blame(
        start,
        _step(1, 15, 4, waits=wait),
        _step(2, 19, 3),
        _step(3, 22, 6, events=again, prefills=(("a.2", 7),), waits=()),
    )
    assert found["a.1"]["decode"] == {ITSELF: 4 + 3 + 1}
    assert found["a.1"]["interference"] == {"a.2": 5}
    for fork in ("a.1", "a.2"):
        assert found[fork]["prefill"] == {ITSELF: 10}
        assert found[fork]["idle"] == {IDLE: 5}
    assert "decode" not in found["a.2"]
    assert found["a.2"]["preempted"] == {"a": 2 + 2, "a.1": 2 + 1}
    assert found["a.2"]["recompute"] == {ITSELF: 6}


def test_a_dead_slot_is_held_by_those_who_still_write() -> None:
    both = (Added("z", 0, 4, 1), Admitted("z"), Alloc("z", (2,)))
    leave = tuple(e for id in "az" for e in (Finished(id, "length"), Free(id)))
    found = _blame(
        _step(0, 0, 10, events=(*A_STARTS.events, *both), prefills=(("a", 6), ("z", 4)),
              after=(Done("z"),)),
        _step(1, 10, 4, after=leave),
    )  # fmt: skip
    assert found["z"] == {"prefill": {ITSELF: 10}, "held": {"a": 4}}


def test_views_of_the_same_books() -> None:
    blame = record("vllm", seed=8, num_blocks=14).trace.blame()
    caused = blame.caused()
    assert list(caused.values()) == sorted(caused.values(), reverse=True)
    paid = sum(
        ns
        for id in blame.requests
        for culprit, ns in blame.of(id).items()
        if culprit in blame.requests
    )
    assert paid == sum(caused.values())
    assert ITSELF not in caused
    assert f"<Blame of {len(blame.requests)} requests: " in repr(blame)
    with pytest.raises(KeyError):
        blame.of("nobody")
