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
    Copied,
    Done,
    Evicted,
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
from minillm.trace import Recorder, State, TraceError, apply


def step(index: int, start: int, **more: Any) -> Step:
    return Step(index=index, start=start, duration=10, **more)


def folded(*steps: Step, num_blocks: int = 8) -> State:
    state = State(num_blocks)
    for each in steps:
        apply(state, each)
    return state


ADMIT_A = (Added("a", 0, 6, 9), Admitted("a"), Alloc("a", (0, 1)))
ADMIT_Z = (Added("z", 5, 1, 1), Admitted("z"), Alloc("z", (7,)))
LEAVE_Z = (Finished("z", "length"), Free("z"))
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


def test_a_fork_has_what_its_parent_has_and_begins_with_the_next_step() -> None:
    fork = Forked("a", "a.1", (0, 1))
    state = folded(step(0, 0, events=ADMIT_A, prefills=(("a", 6),), after=(fork,)))
    a, child = state.sequences["a"], state.sequences["a.1"]
    assert (child.phase, child.computed, child.outputs, child.target) == ("decode", 6, 1, 7)
    assert child.first_token_at == a.first_token_at == 10
    assert state.owners == {0: ["a", "a.1"], 1: ["a", "a.1"]}
    assert state.born == {"a.1"}
    assert state.batch == [("a", 6, "prefill")]
    apply(state, step(1, 10, events=(Copied("a.1", 1, 5),)))
    assert state.born == set()
    assert state.batch == [("a", 1, "decode"), ("a.1", 1, "decode")]
    assert (a.blocks, child.blocks) == ([0, 1], [0, 5])
    assert state.owners == {0: ["a", "a.1"], 1: ["a"], 5: ["a.1"]}


def test_a_fork_without_room_waits_but_not_yet_for_what_others_wait() -> None:
    waits = (
        Wait(ALL_RUNNING, WaitReason.PREFILL_IN_PROGRESS, (BATCH,)),
        Wait(ALL_WAITING, WaitReason.NO_KV_BLOCKS, (ALL_RUNNING,)),
    )
    events = (Added("b", 10, 4, 9), Admitted("b"), Alloc("b", (2,)), Added("c", 10, 4, 9))
    born = (Forked("b", "b.1", (2,)), Forked("b", "b.2", ()), Preempted("b.2"))
    state = folded(
        PREFILL_A,
        step(1, 10, events=events, prefills=(("b", 4),), waits=waits, after=born),
    )
    assert list(state.running) == ["a", "b", "b.1"]
    assert list(state.waiting) == ["c", "b.2"]
    assert state.sequences["b.2"].preemptions == 1
    found = state.waits_by_sequence()
    assert set(found) == {"a", "c"}
    assert found["c"].holders == ("b", "a")  # the newborn hold nothing of what was missing
    apply(state, step(2, 20, waits=waits[1:]))
    assert set(state.waits_by_sequence()) == {"c", "b.2"}


def test_swapped_out_and_back_computes_nothing_again() -> None:
    out = (SwappedOut("a", ((0, 4), (1, 2)), (4, 2)), Preempted("a"))
    state = folded(
        PREFILL_A, step(1, 10, events=(*out, *ADMIT_Z), prefills=(("z", 1),), after=LEAVE_Z)
    )
    a = state.sequences["a"]
    assert (a.phase, a.blocks, a.cpu_blocks, a.computed) == ("waiting", [], [4, 2], 6)
    back = (Admitted("a"), Alloc("a", (0, 6)), SwappedIn("a", ((2, 6),)))
    apply(state, step(2, 20, events=back))
    assert (a.phase, a.blocks, a.cpu_blocks, a.computed) == ("decode", [0, 6], [], 7)
    assert state.batch == [("a", 1, "decode")]


def test_half_a_prompt_swapped_out_goes_on_with_the_other_half() -> None:
    out = (SwappedOut("a", ((0, 4),), (4,)), Preempted("a"))
    back = (Admitted("a"), Alloc("a", (2, 6)), SwappedIn("a", ((4, 2),)))
    state = folded(
        step(0, 0, events=ADMIT_A, prefills=(("a", 4),)),
        step(1, 10, events=(*out, *ADMIT_Z), prefills=(("z", 1),), after=LEAVE_Z),
        step(2, 20, events=back, prefills=(("a", 2),)),
    )
    a = state.sequences["a"]
    assert (a.phase, a.computed, a.outputs) == ("decode", 6, 1)


def test_one_whose_copy_is_lost_begins_anew() -> None:
    out = (SwappedOut("a", ((0, 4), (1, 2)), (4, 2)), Preempted("a"), Free("a"))
    state = folded(PREFILL_A, step(1, 10, events=(*out, *ADMIT_Z), prefills=(("z", 1),)))
    a = state.sequences["a"]
    assert (a.phase, a.cpu_blocks, a.computed) == ("waiting", [], 0)


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
        (Step(index=1, start=2**62, duration=2**62), "more than 64 bits hold"),
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
        (step(1, 10, events=(Forked("x", "x.1", ()),)), "'x', which is not in the engine"),
        (step(1, 10, events=(Forked("a", "a", ()),)), "forked off a second time"),
        (step(1, 10, events=(Forked("a", "a.1", (1,)),)), "shares blocks that a does not hold"),
        (step(1, 10, events=(Added("b", 0, 3, 1), Forked("b", "b.1", ()))), "in phase waiting"),
        (step(1, 10, events=(Copied("a", 7, 5),)), "block 7, which it does not hold"),
        (step(1, 10, events=(Copied("a", 0, 1),)), "to block 1, which is not free"),
        (step(1, 10, events=(Copied("a", 0, 8),)), "of a pool of 8"),
        (step(1, 10, events=(SwappedOut("a", (), ()),)), "has nothing to save"),
        (step(1, 10, events=(Free("a"), SwappedOut("a", (), (1,)))), "has nothing to save"),
        (step(1, 10, events=(SwappedIn("a", ()),)), "was not swapped out"),
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


def test_cpu_blocks_never_freed_are_noticed() -> None:
    left = (SwappedOut("a", ((0, 0),), (0,)), Finished("a", "abort"))
    state = folded(step(0, 0, events=ADMIT_A, prefills=(("a", 6),), after=left))
    with pytest.raises(TraceError, match="never freed"):
        apply(state, step(1, 10))


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
