"""Runs compared: the same requests only, differences in order, winners that won."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_runs import record

from minillm import simulate
from minillm.events import Added, Admitted, Finished, Rejected, Step
from minillm.messages import LANGUAGES
from minillm.trace import Header, Trace, TraceError
from minillm.trace.compare import LATENCIES, Comparison, Difference, names_of
from minillm.workload import RequestSpec

HEADER = Header(
    block_size=4, num_blocks=10, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64
)
SCHEDULERS = ("vllm", "sarathi", "orca", "fastserve")


def _runs(count: int, seed: int) -> list[Trace]:
    """The same random requests under different schedulers, with little memory."""
    rng = random.Random(seed)
    specs = [
        RequestSpec(
            arrival_time=rng.choice([0.0, rng.random()]),
            prompt_len=rng.randrange(1, 900),
            output_len=rng.randrange(1, 60),
        )
        for _ in range(12)
    ]
    return [
        simulate(
            specs, model="llama-2-7b", hardware="a100-80gb", scheduler=name, record=True,
            num_blocks=120, max_model_len=1024,
        )
        for name in SCHEDULERS[:count]
    ]  # fmt: skip


def _served(*seconds: int, id: str = "a", arrival: int = 0, prompt: int = 2) -> Trace:
    """One request whose tokens come at `seconds`, the last of them its end."""
    steps, now = [], arrival
    for n, end in enumerate(seconds):
        last = end == seconds[-1]
        steps.append(
            Step(
                index=n,
                start=now,
                duration=end * 10**9 - now,
                events=() if n else (Added(id, arrival, prompt, 9), Admitted(id)),
                prefills=() if n else ((id, prompt),),
                after=(Finished(id, "length"),) if last else (),
            )
        )
        now = end * 10**9
    return Trace(HEADER, steps)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.integers(2, 4))
def test_every_difference_is_one_of_the_records(seed: int, runs: int) -> None:
    traces = _runs(runs, seed)
    found = Comparison(traces)
    assert [times.request for times in found.requests] == [r.id for r in traces[0].requests]
    records = [{r.id: r for r in trace.requests} for trace in traces]
    differences = found.differences()
    assert len({d.request for d in differences}) == len(differences)
    for each in differences:
        assert each.ns is not None
        assert each.ns > 0
        times = {"first_token": "first_token_at", "end": "finished_at"}[each.what]
        sooner, than = (records[run][each.request] for run in (each.sooner, each.than))
        assert getattr(than, times) - getattr(sooner, times) == each.ns
        for run in records:
            assert getattr(sooner, times) <= getattr(run[each.request], times)
    assert [d.ns for d in differences] == sorted((d.ns or 0 for d in differences), reverse=True)
    assert found.differences(2) == differences[:2]


def test_a_difference_in_words() -> None:
    found = Comparison([_served(3, 4), _served(1, 5)], ["slow", "quick"])
    (difference,) = found.differences()
    assert difference == Difference("a", "first_token", 1, 0, 2 * 10**9)
    assert (
        difference.told(found.names)
        == "request a: first token 2.0 s sooner with quick than with slow"
    )
    for language in LANGUAGES:
        for what in ("first_token", "end"):
            for ns in (None, 1_500_000, 250_000_000):
                told = Difference("a{b}", what, 0, 1, ns).told(found.names, language)
                assert "a{b}" in told
                assert "slow" in told


def test_what_only_one_run_got_done_tells_most() -> None:
    refused = Trace(HEADER, [Step(index=0, start=0, duration=1, events=(Rejected("a", 0, "no"),))])
    both = Comparison([_served(1, 5), refused], ["served", "refused"])
    assert both.differences() == [Difference("a", "first_token", 0, 1, None)]
    assert both.requests[0].end == (5 * 10**9, None)
    assert math.isnan(next(r for r in both.table() if r.metric == "mean_ttft_ms").values[1])


def test_nothing_differs() -> None:
    trace = record("vllm", seed=1).trace
    same = Comparison([trace, trace])
    assert same.names == ("A: vllm", "B: vllm")
    assert same.differences() == []
    assert all(row.winners == () for row in same.table())


def test_the_winner_has_the_best_value() -> None:
    traces = _runs(4, 5)
    table = Comparison(traces).table({"ttft": 100})
    assert {row.metric for row in table} >= {
        "p99_itl_ms",
        "max_itl_ms",
        "median_e2el_ms",
        "request_goodput",
    }
    for row in table:
        high = row.metric.endswith(("throughput", "goodput"))
        best = max(row.values) if high else min(row.values)
        for run, value in enumerate(row.values):
            assert (run in row.winners) == (value == pytest.approx(best)) or not row.winners
    assert any(len(row.winners) == 1 for row in table)


def test_where_nothing_was_measured_nobody_wins() -> None:
    one_token = _served(2)
    table = {row.metric: row for row in Comparison([one_token, _served(1, 3)]).table()}
    assert math.isnan(table["mean_tpot_ms"].values[0])
    assert table["mean_tpot_ms"].winners == ()
    assert table["mean_ttft_ms"].winners == (1,)
    assert "request_goodput" not in table


def test_two_of_three_win_together() -> None:
    found = Comparison([_served(1, 4), _served(2, 4), _served(1, 5)], ["a", "b", "c"])
    rows = {row.metric: row.winners for row in found.table()}
    assert rows["mean_ttft_ms"] == (0, 2)
    assert rows["mean_e2el_ms"] == (0, 1)


@pytest.mark.parametrize(
    ("traces", "why"),
    [
        ([_served(1)], "1 traces cannot be compared: give 2 to 4"),
        ([_served(1)] * 5, "5 traces cannot be compared"),
        ([_served(1), Trace(HEADER)], "has no requests"),
        ([_served(1), _served(1, id="b")], "do not share their requests: .* has a request"),
        ([_served(1), _served(1, prompt=3)], "request a has 2 prompt tokens in .* and 3 in"),
        ([_served(1), _served(1, arrival=5 * 10**7)], "request a arrives at 0.000 s in .* 0.050 s"),
    ],
)
def test_runs_of_other_requests_are_refused(traces: list[Trace], why: str) -> None:
    with pytest.raises(TraceError, match=why):
        Comparison(traces)


def test_names_must_tell_the_runs_apart() -> None:
    with pytest.raises(TraceError, match="different names"):
        Comparison([_served(1), _served(2)], ["x", "x"])


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ([{"scheduler": "vllm"}, {"scheduler": "orca"}], ["vllm", "orca"]),
        (
            [{"scheduler": "vllm"}, {"scheduler": "orca", "block_size": 8}],
            ["vllm", "orca"],
        ),
        (
            [{"scheduler": "vllm"}, {"scheduler": "vllm", "block_size": 8}, {"scheduler": "orca"}],
            ["vllm · 4-token blocks", "vllm · 8-token blocks", "orca · 4-token blocks"],
        ),
        ([{"kv_cache": "contiguous", "reserve": "max"}, {}], ["contiguous (max)", "paged"]),
        ([{"scheduler": "vllm"}] * 3, ["A: vllm", "B: vllm", "C: vllm"]),
    ],
)
def test_names_say_what_differs(changes: list[dict[str, Any]], names: list[str]) -> None:
    assert names_of([msgspec.structs.replace(HEADER, **each) for each in changes]) == names


@pytest.mark.parametrize("points", [5, 10_000])
def test_distributions_rise_from_the_smallest_to_all(points: int) -> None:
    traces = _runs(2, 5)
    found = Comparison(traces)
    for name in LATENCIES:
        for trace, curve in zip(traces, found.ecdf(name, points), strict=True):
            metrics = trace.metrics()
            assert len(curve) <= points
            assert curve == sorted(curve)
            assert curve[-1][1] == 1.0
            middle = min(curve, key=lambda point: abs(point[1] - 0.5))[0]
            if points > 5:
                assert middle == pytest.approx(metrics[f"median_{name}_ms"], rel=0.2)
