"""The fold: state from records, and records that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_runs import runs

from minillm.events import (
    ALL_RUNNING,
    ALL_WAITING,
    BATCH,
    Added,
    Admitted,
    Alloc,
    Cached,
    Done,
    Evicted,
    Finished,
    Free,
    Preempted,
    Step,
    Wait,
    WaitReason,
)
from minillm.trace import Recorder, State, TraceError, apply


def step(index: int, start: int, **more: Any) -> Step:
    return Step(index=index, start=start, duration=10, **more)


def folded(*steps: Step, num_blocks: int = 8) -> State:
    state = State(num_blocks)
    for each in steps:
        apply(state, each)
    return state


ADMIT_A = (Added("a", 0, 6, 9), Admitted("a"), Alloc("a", (0, 1)))
PREFILL_A = step(0, 0, events=ADMIT_A, prefills=(("a", 6),), after=(Cached((0,)),))


def test_a_prompt_in_two_chunks_then_a_decode() -> None:
    state = folded(
        step(0, 0, events=ADMIT_A, prefills=(("a", 4),)),
        step(1, 10, prefills=(("a", 2),)),
        step(2, 20),
    )
    a = state.sequences["a"]
    assert (a.phase, a.computed, a.outputs, a.target) == ("decode", 7, 2, 8)
    assert (a.admitted_at, a.first_token_at) == (0, 20)
    assert state.batch == [("a", 1, "decode")]
    assert state.load == (1, 0, 2)


def test_a_prefix_hit_shares_blocks_and_skips_their_tokens() -> None:
    hit = (Added("b", 5, 6, 9), Admitted("b", 4), Alloc("b", (0, 2)))
    state = folded(PREFILL_A, step(1, 10, events=hit, prefills=(("b", 2),)))
    assert state.owners == {0: ["a", "b"], 1: ["a"], 2: ["b"]}
    assert state.num_used_blocks == 3
    assert state.batch == [("a", 1, "decode"), ("b", 2, "prefill")]
    assert state.sequences["b"].cached_tokens == 4


def test_preemption_returns_blocks_and_all_is_computed_again() -> None:
    lost = (Free("a"), Preempted("a", "z"))
    again = (Admitted("a"), Alloc("a", (3, 4)))
    state = folded(
        PREFILL_A,
        step(1, 10),
        step(2, 20, events=(Added("z", 15, 1, 1), *lost, Admitted("z")), prefills=(("z", 1),)),
    )
    assert state.owners == {}
    assert (state.sequences["a"].phase, state.sequences["a"].target) == ("waiting", 8)
    apply(state, step(3, 30, events=again, prefills=(("a", 8),)))
    assert (state.sequences["a"].outputs, state.sequences["a"].preemptions) == (3, 1)
    assert [s.id for s in state.running.values()] == ["a", "z"]  # in order of arrival


def test_a_finished_sequence_stays_for_one_step() -> None:
    leave = (Finished("a", "length"), Free("a"))
    state = folded(step(0, 0, events=ADMIT_A, prefills=(("a", 6),), after=leave))
    assert state.sequences["a"].finished_at == 10
    assert state.owners == {}
    assert state.held_blocks("a") == 2  # when the step was decided
    apply(state, step(1, 10, events=(Added("b", 10, 1, 1), Admitted("b")), prefills=(("b", 1),)))
    assert list(state.sequences) == ["b"]


def test_a_done_sequence_is_a_dead_row() -> None:
    both = (*ADMIT_A, Added("b", 0, 1, 1), Admitted("b"), Alloc("b", (2,)))
    state = folded(
        step(0, 0, events=both, prefills=(("a", 6), ("b", 1)), after=(Done("b"),)),
        step(1, 10, waits=(Wait(ALL_WAITING, WaitReason.BATCH_NOT_FINISHED, (ALL_RUNNING,)),)),
    )
    assert state.batch == [("a", 1, "decode"), ("b", 0, "dead")]
    assert state.sequences["b"].outputs == 1


def test_several_tokens_in_one_step() -> None:
    state = folded(PREFILL_A, step(1, 10, tokens={"a": (5, 6, 7)}))
    a = state.sequences["a"]
    assert (a.outputs, a.computed, a.target) == (4, 9, 10)


def test_groups_of_waits_are_spelled_out() -> None:
    arrivals = tuple(Added(id, 0, 6, 9) for id in "bcde")
    waits = (
        Wait("c", WaitReason.NO_KV_BLOCKS, (ALL_RUNNING,), 2, 1),
        Wait(ALL_WAITING, WaitReason.HEAD_OF_LINE, ("c",)),
        Wait(ALL_RUNNING, WaitReason.PREFILL_IN_PROGRESS, (BATCH,)),
    )
    state = folded(
        PREFILL_A,
        step(1, 10, events=(*arrivals, Admitted("b"), Alloc("b", (2,))), prefills=(("b", 4),),
             waits=waits),
    )  # fmt: skip
    found = state.waits_by_sequence()
    assert found == {
        "a": Wait("a", WaitReason.PREFILL_IN_PROGRESS, ("b",)),
        "c": Wait("c", WaitReason.NO_KV_BLOCKS, ("b", "a"), 2, 1),
        "d": Wait("d", WaitReason.HEAD_OF_LINE, ("c",)),
        "e": Wait("e", WaitReason.HEAD_OF_LINE, ("c",)),
    }
    assert state.holder_weights("c") == {"b": 1, "a": 2}
    assert state.holder_weights("a") == {"b": 4}
    assert state.holder_weights("d") == {"c": 1}
    assert state.holder_weights("b") == {}


def test_waits_hold_until_they_are_written_again() -> None:
    waiting = step(
        1, 10, events=(Added("b", 5, 1, 1),), waits=(Wait("b", WaitReason.MAX_NUM_SEQS),)
    )
    state = folded(PREFILL_A, waiting, step(2, 20))
    assert list(state.waits_by_sequence()) == ["b"]
    apply(state, step(3, 30, events=(Admitted("b"),), prefills=(("b", 1),), waits=()))
    assert state.waits_by_sequence() == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (step(2, 10), "without a gap"),
        (step(1, 9), "before the step in front of it ended"),
        (Step(index=1, start=10, duration=-1), "never runs backwards"),
        (step(1, 10, prefills=(("x", 1),)), "'x', which is not in the engine"),
        (step(1, 10, prefills=(("a", 1),)), "in phase decode"),
        (step(1, 10, events=(Free("x"),)), "'x', which is not in the engine"),
        (step(1, 10, events=(Added("a", 0, 1, 1),)), "second time"),
        (step(1, 10, events=(Added("b", 11, 1, 1),)), "before it arrives"),
        (step(1, 10, events=(Admitted("a"),)), "admitted in phase decode"),
        (step(1, 10, events=(Alloc("a", (0,)),)), "which it holds already"),
        (step(1, 10, events=(Alloc("a", (8,)),)), "of a pool of 8"),
        (step(1, 10, events=(Added("b", 0, 9, 1), Alloc("b", (1,)))), "a holds and which is not"),
        (step(1, 10, events=(Evicted((5,)),)), "was not cached"),
        (step(1, 10, events=(Done("a"), Preempted("a"))), "preempted in phase done"),
        (step(1, 10, events=(Finished("a", "stop"), Finished("a", "stop"))), "second time"),
        (step(1, 10, events=(Added("b", 0, 3, 1), Finished("b", "stop"))), "without an output"),
        (step(1, 10, text={"x": "?"}), "'x', which is not in the engine"),
        (
            step(1, 10, events=(Added("b", 0, 3, 1), Admitted("b")), prefills=(("b", 4),)),
            "which needs 3",
        ),
    ],
)  # fmt: skip
def test_a_contradiction_is_named(wrong: Step, message: str) -> None:
    state = folded(PREFILL_A)
    with pytest.raises(TraceError, match=message):
        apply(state, wrong)


def test_blocks_never_freed_are_noticed() -> None:
    state = folded(step(0, 0, events=ADMIT_A, prefills=(("a", 6),), after=(Finished("a", "stop"),)))
    with pytest.raises(TraceError, match="never freed"):
        apply(state, step(1, 10))


@settings(max_examples=30, deadline=None)
@given(runs, st.data())
def test_a_keyframe_is_as_good_as_the_way_there(recorder: Recorder, data: st.DataObject) -> None:
    steps = recorder.trace.steps
    cut = data.draw(st.integers(0, len(steps)))
    state = State(recorder.header.num_blocks)
    for each in steps[:cut]:
        apply(state, each)
    kept = state.keyframe()
    resumed = State.from_keyframe(kept, recorder.header.num_blocks)
    copied = state.copy()
    for each in steps[cut:]:
        for other in (state, resumed, copied):
            apply(other, each)
        assert resumed.keyframe() == state.keyframe() == copied.keyframe()
        assert resumed.batch == state.batch == copied.batch
        assert resumed.waits_by_sequence() == state.waits_by_sequence()
        assert {b: set(o) for b, o in resumed.owners.items()} == {
            b: set(o) for b, o in state.owners.items()
        }
    assert kept.keyframe == cut - 1  # later steps did not change it


@settings(max_examples=30, deadline=None)
@given(runs)
def test_every_wait_has_holders_and_nobody_waits_for_nothing(recorder: Recorder) -> None:
    state = State(recorder.header.num_blocks)
    for each in recorder.trace.steps:
        apply(state, each)
        waits = state.waits_by_sequence()
        assert set(waits) >= set(state.waiting) - state.born
        for id, wait in waits.items():
            if wait.reason != WaitReason.PREEMPTED:  # it may have given way to itself
                assert state.holder_weights(id), (each.index, wait)
