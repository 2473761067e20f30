"""Lives: rows of segments without a gap, which say who paid, and when most of it was lost."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_runs import MEMORIES, SWAPS, record, runs

from minillm.events import ALL_WAITING, Added, Admitted, Alloc, Step, Wait, WaitReason
from minillm.scheduling import SYSTEMS
from minillm.trace import Header, Recorder, Trace
from minillm.trace.culprits import IDLE, ITSELF, NOBODY_ELSE
from minillm.trace.lives import KINDS, Cell, Segment
from minillm.trace.tally import Tally

HEADER = Header(
    block_size=4, num_blocks=10, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64
)


def _exact(trace: Trace) -> None:
    """Segments follow each other from arrival to end; their culprits add up, too."""
    lives = trace.lives()
    served = [request for request in trace.requests if request.rejected is None]
    assert list(lives.requests) == [request.id for request in served]
    end = trace.closing.time if trace.closing else trace.steps[-1].start + trace.steps[-1].duration
    for request in served:
        life = lives.requests[request.id]
        assert life.finished == (request.finished_at is not None)
        assert life.end == (request.finished_at if life.finished else end)
        now, step = request.arrival, 0
        for segment in life.segments:
            assert segment.start == now < segment.end
            assert sum(segment.culprits.values()) == segment.ns
            assert segment.kind in KINDS
            assert step <= segment.first <= segment.last
            now, step = segment.end, segment.first
        assert now == life.end
        totals = life.totals()
        assert set(totals) <= set(KINDS)
        assert sum(sum(parts.values()) for parts in totals.values()) == life.ns
        assert life.ns == sum(ns for segment in life.segments for ns in segment.culprits.values())


@pytest.mark.parametrize("scheduler", sorted(SYSTEMS))
@pytest.mark.parametrize("memory", range(len(MEMORIES)))
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 9_999), swap=st.sampled_from(SWAPS), num_blocks=st.integers(16, 36))
def test_the_segments_add_up_to_the_measured_time(
    scheduler: str, memory: int, seed: int, swap: Any, num_blocks: int
) -> None:
    run = record(scheduler, seed=seed, fork=0.2, num_blocks=num_blocks, **MEMORIES[memory], **swap)
    _exact(run.trace)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(SYSTEMS)), st.integers(0, 999), st.lists(st.integers(1, 30)))
def test_also_where_requests_are_aborted_fail_or_have_not_ended(
    scheduler: str, seed: int, fail_at: list[int]
) -> None:
    run = record(scheduler, seed=seed, abort=0.1, fork=0.3, fail_at=fail_at, num_blocks=20)
    _exact(run.trace)
    some = run.trace.steps[: len(run.trace.steps) // 2]
    if some:
        _exact(Trace(run.trace.header, some))


@settings(max_examples=40, deadline=None)
@given(runs)
def test_the_matrix_is_what_requests_cost_each_other(recorder: Recorder) -> None:
    trace = recorder.trace
    lives, blame = trace.lives(), trace.blame()
    matrix = lives.matrix()
    assert matrix.ns == sum(cell.ns for cell in matrix.cells) == sum(blame.caused().values())
    assert sorted(set(matrix.culprits)) == sorted(blame.caused())
    for cell in matrix.cells:
        assert cell.waiter != cell.culprit
        assert cell.culprit not in NOBODY_ELSE
        assert cell.ns == sum(cell.kinds.values()) == blame.of(cell.waiter)[cell.culprit]
        assert 0 <= cell.step < len(trace.steps)
        assert lives.requests[cell.waiter].worst[cell.culprit][1] <= cell.ns
        assert matrix.cell(cell.waiter, cell.culprit) is cell


@settings(max_examples=40, deadline=None)
@given(runs)
def test_the_worst_step_of_a_cell_is_one_in_which_it_was_lost(recorder: Recorder) -> None:
    trace = recorder.trace
    for life in trace.lives().requests.values():
        for culprit, (step, ns) in life.worst.items():
            covering = [s for s in life.segments if s.first <= step <= s.last]
            assert any(culprit in segment.culprits for segment in covering)
            assert 0 < ns <= trace.steps[step].duration


def test_a_small_matrix_keeps_the_heaviest() -> None:
    lives = record("vllm", seed=8, requests=20, num_blocks=14).trace.lives()
    whole, small = lives.matrix(), lives.matrix(3)
    lost: dict[str, int] = defaultdict(int)
    for cell in whole.cells:
        lost[cell.waiter] += cell.ns
    assert set(small.waiters) == set(sorted(lost, key=lambda id: -lost[id])[:3])
    assert len(small.culprits) == 3
    assert {(c.waiter, c.culprit, c.ns) for c in small.cells} < {
        (c.waiter, c.culprit, c.ns) for c in whole.cells
    }
    assert small.ns == whole.ns > sum(cell.ns for cell in small.cells)
    assert "<Lives of " in repr(lives)


def test_a_life_step_by_step() -> None:
    """b arrives while a prefills, waits a long step and a short one, then prefills beside a."""
    wait = (Wait(ALL_WAITING, WaitReason.NO_KV_BLOCKS, ("a",), 9, 8),)
    trace = Trace(
        HEADER,
        [
            Step(index=0, start=0, duration=10, prefills=(("a", 6),),
                 events=(Added("a", 0, 6, 9), Admitted("a"), Alloc("a", (0, 1)))),
            Step(index=1, start=10, duration=20, events=(Added("b", 4, 3, 9),), waits=wait),
            Step(index=2, start=32, duration=5),
            Step(index=3, start=37, duration=4, events=(Admitted("b"), Alloc("b", (2,))),
                 prefills=(("b", 3),), waits=()),
            Step(index=4, start=41, duration=2),
        ],
    )  # fmt: skip
    lives = trace.lives()
    a, b = lives.requests["a"], lives.requests["b"]
    assert b.segments == [
        Segment("queue", 4, 37, 0, 2, {"a": 6 + 20 + 5, IDLE: 2}),
        Segment("prefill", 37, 41, 3, 3, {ITSELF: 4}),
        Segment("decode", 41, 43, 4, 4, {ITSELF: 2}),
    ]
    assert a.segments == [
        Segment("prefill", 0, 10, 0, 0, {ITSELF: 10}),
        Segment("decode", 10, 43, 1, 4, {"b": 3, ITSELF: 20 + 5 + 1 + 2, IDLE: 2}),
    ]
    assert a.totals() == {
        "prefill": {ITSELF: 10}, "interference": {"b": 3}, "decode": {ITSELF: 28}, "idle": {IDLE: 2}
    }  # fmt: skip
    matrix = lives.matrix()
    assert matrix.cells == [
        Cell("a", "b", 3, 3, {"interference": 3}),
        Cell("b", "a", 31, 1, {"queue": 31}),
    ]
    assert matrix.cell("a", "a") is None
    assert matrix.ns == 34


@given(
    st.lists(
        st.tuples(
            st.sampled_from("mno"),
            st.booleans(),
            st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3),
        ),
        max_size=30,
    )
)
def test_a_tally_is_what_each_member_would_have_booked(
    happened: list[tuple[str, bool, dict[str, int]]],
) -> None:
    tally, books = Tally(), dict[str, list[tuple[int, dict[str, int]]]]()
    for step, (who, leaves, parts) in enumerate(happened):
        if who not in tally.members:
            tally.enter(who)
            books[who] = []
        tally.book(parts, step)
        for member in tally.members:
            books[member].append((step, parts))
        if leaves:
            _same(tally, who, books)
    for who in list(tally.members):
        _same(tally, who, books)


def _same(tally: Tally, who: str, books: dict[str, list[tuple[int, dict[str, int]]]]) -> None:
    found = {culprit: (ns, peak, step) for culprit, ns, peak, step in tally.leave(who)}
    booked = books[who]
    for culprit in "abc":
        entries = [(parts[culprit], -step) for step, parts in booked if parts.get(culprit)]
        if not entries:
            assert culprit not in found
            continue
        peak, step = max(entries)
        assert found[culprit] == (sum(ns for ns, _ in entries), peak, -step)
