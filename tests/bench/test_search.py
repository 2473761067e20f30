"""Capacity search: right on queues with a known answer, thrifty, deterministic."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from minillm import SamplingParams, simulate
from minillm.bench import Slo, WorkloadSettings, capacity
from minillm.bench.search import _search
from minillm.config import ConfigError
from minillm.workload import RequestSpec


class Constant:
    """Every step takes the same time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        return self.seconds


def evenly(rate: float) -> list[RequestSpec]:
    """A request every 1/rate seconds, of one output token: one step each."""
    return [RequestSpec(arrival_time=n / rate, prompt_len=16, output_len=1) for n in range(200)]


@pytest.mark.parametrize("seconds", [0.01, 0.4])
def test_a_server_of_constant_time_serves_one_over_it(seconds: float) -> None:
    """D/D/1: nobody waits below 1/seconds, and the queue grows above."""
    found = capacity(
        evenly,
        Slo(limits={"p99_queue": 1.0}),
        tolerance=0.01,
        cost_model=Constant(seconds),
        scheduler="vllm",
        max_num_seqs=1,
    )
    assert found.rate == pytest.approx(1 / seconds, rel=0.02)
    assert found.rate <= 1 / seconds
    assert {probe.met for probe in found.probes if probe.rate <= found.rate} == {True}
    assert {probe.met for probe in found.probes if probe.rate > 1.02 * found.rate} == {False}


def test_poisson_arrivals_wait_as_the_formula_says() -> None:
    """M/D/1: the mean TTFT is D + RD²/(2(1 − RD)); 1.5 D is reached at RD = 1/2."""
    asked = WorkloadSettings(num_prompts=3000, random_input_len=16, random_output_len=1)
    found = capacity(
        asked.requests,
        Slo(limits={"mean_ttft": 15.0}),
        start=20.0,
        tolerance=0.02,
        cost_model=Constant(0.01),
        scheduler="vllm",
        max_num_seqs=1,
    )
    assert found.rate == pytest.approx(50, rel=0.08)


def test_the_share_of_requests_counts_those_refused() -> None:
    specs = [RequestSpec(arrival_time=float(n), prompt_len=16, output_len=1) for n in range(9)]
    too_long = RequestSpec(arrival_time=9.0, prompt_len=99_999, output_len=1)

    def at(share: float) -> float:
        slo = Slo(goodput={"ttft": 1e6}, attainment=share)
        found = capacity(lambda rate: [*specs, too_long], slo, tolerance=1.0)
        assert found.probes[0].found == {"attainment": 0.9}
        return found.rate

    assert at(0.9) == math.inf
    assert at(0.95) == 0


def test_the_same_arguments_give_the_same_probes() -> None:
    asked = WorkloadSettings(dataset_name="sharegpt", num_prompts=60)
    slo = Slo(limits={"p99_itl": 40}, goodput={"ttft": 200}, attainment=0.8)
    one, two = (capacity(asked.requests, slo, start=2.0, tolerance=0.2) for _ in range(2))
    assert one == two
    assert 0 < one.rate < math.inf
    assert str(slo) == "p99_itl ≤ 40 ms, ttft ≤ 200 ms for 80% of requests"


@pytest.mark.parametrize("true", [0.013, 0.9, 1.0, 7.7, 900.0])
def test_the_bracket_closes_in_few_probes(true: float) -> None:
    tried: list[float] = []

    def meets(rate: float) -> bool:
        tried.append(rate)
        return rate <= true

    assert _search(meets, 1.0, 0.01) == pytest.approx(true, rel=0.011)
    assert len(tried) <= 2 + abs(math.log2(true)) + math.log2(math.log(2) / math.log(1.01)) + 1


@pytest.mark.parametrize(
    ("slo", "message"),
    [
        ({}, "an SLO needs limits"),
        ({"limits": {"p99_tbt": 1}}, "unknown limit 'p99_tbt'"),
        ({"limits": {"p99_itl": -1}}, "must be ≥ 0 ms"),
        ({"goodput": {"itl": 1}}, "Known: ttft, tpot, e2el"),
        ({"goodput": {"ttft": 1}, "attainment": 0}, "attainment must be in"),
        ({"limits": {"p99_itl": 1}, "attainment": 0.9}, "the share of requests within the goodput"),
    ],
)
def test_impossible_objectives_are_refused(slo: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Slo(**slo)


def test_several_answers_are_one_request_of_the_objective() -> None:
    specs = [
        RequestSpec(
            arrival_time=float(i), prompt_len=20, output_len=4, sampling=SamplingParams(n=2)
        )
        for i in range(6)
    ]
    assert Slo(goodput={"ttft": 1e6}).measure(simulate(specs, record=False))["attainment"] == 1


def test_a_tolerance_that_no_search_can_reach_is_refused() -> None:
    with pytest.raises(ConfigError, match="tolerance at least"):
        capacity(
            WorkloadSettings(num_prompts=2).requests, Slo(goodput={"ttft": 1e6}), tolerance=1e-17
        )
