"""Metrics against an example worked out by hand."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from minillm import SamplingParams, simulate
from minillm.events import (
    Added,
    Admitted,
    Alloc,
    Finished,
    Forked,
    Free,
    Preempted,
    Rejected,
    Step,
)
from minillm.scheduling import SYSTEMS, make_scheduler
from minillm.trace import Header, Trace
from minillm.workload import RequestSpec

MS = 1_000_000  # ns
HEADER = Header(
    block_size=4, num_blocks=10, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64
)


def _step(index: int, start: int, duration: int, **more: Any) -> Step:
    return Step(index=index, start=start * MS, duration=duration * MS, **more)


def _leave(id: str, reason: str = "length") -> tuple[Any, ...]:
    return (Finished(id, reason), Free(id))


@pytest.fixture
def trace() -> Trace:
    """Times in ms. a: arrives 0, tokens at 10, 15, 35, ends 35. b: arrives 4, admitted at 15 with
    4 of 8 tokens cached, one token at 35, ends 35. c is aborted; d is refused."""
    return Trace(
        HEADER,
        [
            _step(0, 0, 10, events=(Added("a", 0, 6, 9), Admitted("a"), Alloc("a", (0, 1))),
                  prefills=(("a", 6),)),
            _step(1, 10, 5, events=(Added("b", 4 * MS, 8, 1), Rejected("d", 5 * MS, "too long"))),
            _step(2, 15, 20,
                  events=(Admitted("b", 4), Alloc("b", (2, 3, 4)), Added("c", 9 * MS, 3, 9)),
                  prefills=(("b", 4),), after=(*_leave("a"), *_leave("b", "stop"))),
            _step(3, 55, 5, events=(Admitted("c"), Alloc("c", (5,)), Free("c"), Preempted("c"),
                                    Finished("c", "abort"))),
        ],
    )  # fmt: skip


def test_by_hand(trace: Trace) -> None:
    found = trace.metrics()
    expected = {
        "completed": 2,
        "failed": 1,
        "duration": 0.06,
        "total_input_tokens": 14,
        "total_output_tokens": 4,
        "request_throughput": 2 / 0.06,
        "output_throughput": 4 / 0.06,
        "total_token_throughput": 18 / 0.06,
        "max_concurrent_requests": 2,
        "num_preemptions": 1,
        "prefix_cache_hit_rate": 4 / 17,
        "peak_kv_cache_usage": 0.5,
        "mean_ttft_ms": (10 + 31) / 2,
        "median_ttft_ms": 20.5,
        "std_ttft_ms": 10.5,
        "p50_ttft_ms": 20.5,
        "p90_ttft_ms": 10 + 0.9 * 21,
        "p99_ttft_ms": 10 + 0.99 * 21,
        "mean_tpot_ms": 12.5,  # (35 - 10) / 2; b has one token and no TPOT
        "std_tpot_ms": 0,
        "mean_itl_ms": 12.5,
        "std_itl_ms": 7.5,
        "p95_itl_ms": 5 + 0.95 * 15,
        "mean_e2el_ms": (35 + 31) / 2,
        "mean_queue_ms": (0 + 11) / 2,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert math.isnan(found["request_goodput"])


def test_goodput(trace: Trace) -> None:
    assert trace.metrics({"ttft": 10})["request_goodput"] == pytest.approx(1 / 0.06)
    assert trace.metrics({"ttft": 9.99})["request_goodput"] == 0
    assert trace.metrics({"ttft": 31, "tpot": 12})["request_goodput"] == pytest.approx(1 / 0.06)
    assert trace.metrics({"e2el": 35, "tpot": 12.5})["request_goodput"] == pytest.approx(2 / 0.06)


def test_a_wrong_limit_is_an_error(trace: Trace) -> None:
    with pytest.raises(ValueError, match=r"unknown goodput limit 'ttf'. Did you mean 'ttft'\?"):
        trace.metrics({"ttf": 10})
    with pytest.raises(ValueError, match="must be ≥ 0"):
        trace.metrics({"ttft": -1})


def test_nothing_measured_is_not_zero() -> None:
    found = Trace(HEADER).metrics()
    assert math.isnan(found["p99_tpot_ms"])
    assert found["request_throughput"] == 0


def test_of_several_answers_each_counts_its_tokens_and_the_last_ends_the_request() -> None:
    """Times in ms. a and its fork: first tokens at 10; a has 3 and ends at 30, a.1 waits a step,
    has 3 too and ends at 55."""
    start = (Added("a", 0, 6, 3), Admitted("a"), Alloc("a", (0, 1)))
    again = (Admitted("a.1"), Alloc("a.1", (2, 3)))
    trace = Trace(
        HEADER,
        [
            _step(0, 0, 10, events=start, prefills=(("a", 6),),
                  after=(Forked("a", "a.1", (0, 1)), Free("a.1"), Preempted("a.1"))),
            _step(1, 10, 5),
            _step(2, 15, 15, after=_leave("a")),
            _step(3, 30, 20, events=again, prefills=(("a.1", 7),)),
            _step(4, 50, 5, after=_leave("a.1")),
        ],
    )  # fmt: skip
    found = trace.metrics({"ttft": 10, "e2el": 54})
    expected = {
        "completed": 1,
        "total_input_tokens": 6,
        "total_output_tokens": 6,
        "num_preemptions": 1,
        "mean_ttft_ms": 10,
        "mean_tpot_ms": (30 - 10) / 2,
        "mean_itl_ms": (5 + 15 + 40 + 5) / 4,
        "mean_e2el_ms": 55,
        "request_goodput": 0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    first, fork = trace.requests
    assert (first.preemptions, fork.preemptions, fork.parent) == (0, 1, "a")
    assert fork.token_times == [each * MS for each in (10, 50, 55)]
    assert len(trace.metrics()) == len(found)


def test_a_request_is_complete_when_all_its_answers_are() -> None:
    start = (Added("a", 0, 6, 3), Admitted("a"), Alloc("a", (0, 1)))
    fork = (Forked("a", "a.1", (0, 1)), *_leave("a"))
    half = [_step(0, 0, 10, events=start, prefills=(("a", 6),), after=fork), _step(1, 10, 5)]
    assert Trace(HEADER, half).metrics()["completed"] == 0
    whole = [*half, _step(2, 15, 5, after=_leave("a.1"))]
    assert Trace(HEADER, whole).metrics()["completed"] == 1


@pytest.mark.parametrize("scheduler", SYSTEMS)
@pytest.mark.parametrize(
    "settings",
    [
        {"preemption": "swap"},
        {"preemption": "swap", "num_cpu_blocks": 20, "enable_prefix_caching": False},
        {"kv_cache": "token", "num_blocks": 1300, "preemption": "swap"},
        {"kv_cache": "contiguous", "reserve": "oracle"},
    ],
    ids=str,
)
def test_a_summary_has_the_figures_of_a_trace_with_forks_and_swaps(
    scheduler: str, settings: dict[str, Any]
) -> None:
    rng, now, workload = random.Random(4), 0.0, []
    for _ in range(30):
        now += rng.expovariate(30.0)
        prefix = rng.choice([{}, {"prefix_id": "a", "prefix_len": 64}])
        workload.append(
            RequestSpec(
                arrival_time=now,
                prompt_len=rng.randrange(65, 500),
                output_len=rng.randrange(1, 60),
                max_tokens=64,
                sampling=SamplingParams(n=rng.choice([1, 1, 3])),
                **prefix,
            )
        )
    asked = {"num_blocks": 80, "max_model_len": 600, "max_num_batched_tokens": 640, **settings}
    if not make_scheduler(scheduler).preempts:
        asked.pop("num_cpu_blocks", None)  # it could not use them, and says so
    trace = simulate(workload, scheduler=scheduler, **asked)
    summary = simulate(workload, scheduler=scheduler, record=False, **asked)
    limits = {"ttft": 200, "tpot": 40, "e2el": 3000}
    expected, found = trace.metrics(limits), summary.metrics(limits)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, nan_ok=True), name
    for mine, theirs in zip(summary.requests, trace.requests, strict=True):
        theirs.token_times = []
        assert mine == theirs
