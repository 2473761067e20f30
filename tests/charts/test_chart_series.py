"""Chart figures: few enough to draw, and no peak or stall lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.charts.series import (
    inter_token_latency,
    load_over_time,
    rows,
    time_to_first_token,
)
from minillm.events import Added, Admitted, Alloc, Finished, Free, Rejected, Step
from minillm.trace import Header, Trace

MS = 1_000_000
HEADER = Header(
    block_size=4, num_blocks=8, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=4096
)


def _trace(durations: list[int]) -> Trace:
    """One request, decoding through steps of these lengths (ms); another waits in step 1."""
    steps, now = [], 0
    for n, length in enumerate(durations):
        events: tuple = ()
        if n == 0:
            events = (Added("a", 0, 3, 99), Admitted("a"), Alloc("a", (0, 1)), Rejected("x", 0, ""))
        if n == 1:
            events = (Added("b", now, 3, 99),)
        if n == 2:
            events = (Finished("b", "abort"),)
        prefills = (("a", 3),) if n == 0 else ()
        after = (Finished("a", "length"), Free("a")) if n == len(durations) - 1 else ()
        steps.append(
            Step(index=n, start=now, duration=length * MS, events=events, prefills=prefills,
                 after=after)
        )  # fmt: skip
        now += length * MS
    return Trace(HEADER, steps)


def test_by_hand() -> None:
    trace = _trace([10, 5, 20])
    assert load_over_time(trace) == {
        "seconds": [0.01, 0.015, 0.035],
        "running": [1, 1, 1],
        "waiting": [0, 1, 0],
        "kv": [25.0, 25.0, 25.0],
    }
    assert time_to_first_token(trace) == {"seconds": [0.0], "ms": [10.0], "request": ["a"]}
    assert inter_token_latency(trace) == {
        "seconds": [0.015, 0.035],
        "ms": [5.0, 20.0],
        "request": ["a", "a"],
    }


@given(st.lists(st.integers(1, 50), min_size=3, max_size=80), st.integers(1, 40))
def test_thinning_keeps_peaks_ends_and_order(durations: list[int], points: int) -> None:
    trace = _trace(durations)
    load = load_over_time(trace, points)
    assert len(load["seconds"]) == min(points, len(durations))
    assert load["seconds"] == sorted(load["seconds"])
    assert load["seconds"][-1] == pytest.approx(trace.duration)
    assert max(load["waiting"]) == 1
    itl = inter_token_latency(trace, points)
    assert len(itl["ms"]) == min(points, len(durations) - 1)
    assert max(itl["ms"]) == max(durations[1:])


def test_nothing_to_draw() -> None:
    empty = Trace(HEADER)
    for columns in (load_over_time(empty), time_to_first_token(empty), inter_token_latency(empty)):
        assert rows(columns) == []
