"""Simulated time: the record, the summary, and that the same run gives the same bytes."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from minillm import ConfigError, Trace, simulate
from minillm.events import Preempted
from minillm.run_summary import RunSummary
from minillm.scheduling import SYSTEMS
from minillm.workload import RequestSpec


def workload(count: int = 60, rate: float = 8.0, seed: int = 0) -> list[RequestSpec]:
    rng, now, specs = random.Random(seed), 0.0, []
    for _ in range(count):
        now += rng.expovariate(rate)
        specs.append(
            RequestSpec(
                arrival_time=now,
                prompt_len=rng.randrange(65, 900),
                output_len=rng.randrange(1, 120),
                max_tokens=128,
            )
        )
    return specs


TIGHT: dict[str, Any] = {"num_blocks": 140, "max_model_len": 1100, "max_num_batched_tokens": 1024}


class Constant:
    """A cost model of a user's own: every step takes as long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.batches: list[list[tuple[int, int]]] = []

    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        self.batches.append(list(batch))
        return self.seconds


@pytest.mark.parametrize("scheduler", SYSTEMS)
def test_every_request_is_served(scheduler: str) -> None:
    specs = workload()
    trace = simulate(specs, "llama-2-7b", "a100-80gb", scheduler, **TIGHT)
    assert trace.header.device == "simulated: a100-80gb"
    assert trace.header.kv_bytes_per_token == 524_288
    assert [r.output_len for r in trace.requests] == [s.output_len for s in specs]
    assert all(r.completed for r in trace.requests)


@pytest.mark.parametrize("scheduler", SYSTEMS)
def test_a_summary_has_the_figures_of_the_trace(scheduler: str) -> None:
    trace = simulate(workload(), scheduler=scheduler, **TIGHT)
    summary = simulate(workload(), scheduler=scheduler, record=False, **TIGHT)
    assert summary.num_steps == len(trace.steps)
    limits = {"ttft": 200, "tpot": 40}
    expected, found = trace.metrics(limits), summary.metrics(limits)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, nan_ok=True), name
    for mine, theirs in zip(summary.requests, trace.requests, strict=True):
        theirs.token_times = []
        assert mine == theirs


def test_memory_pressure_is_part_of_it() -> None:
    trace = simulate(workload(), scheduler="vllm", **TIGHT)
    assert any(isinstance(e, Preempted) for step in trace.steps for e in step.events)
    assert simulate(workload(), scheduler="vllm", record=False).num_preemptions == 0


def test_the_same_run_gives_the_same_bytes() -> None:
    program = (
        "import hashlib, test_simulation as t\n"
        "lines = t.simulate(t.workload(), scheduler='vllm', seed=3, **t.TIGHT).lines()\n"
        "print(hashlib.sha256('\\n'.join(lines).encode()).hexdigest())"
    )
    here = str(Path(__file__).parent)
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": here},
        )
        for seed in ("1", "2")
    ]
    first, second = (run.stdout.strip() for run in runs)
    assert len(first) == 64, runs[0].stderr
    assert first == second


def test_no_model_code_is_loaded() -> None:
    program = (
        "import sys; from minillm import simulate; from minillm.workload import RequestSpec\n"
        "simulate([RequestSpec(prompt_len=9, output_len=3)], 'pocket', 'cpu', record=False)\n"
        "print(sorted({'torch', 'transformers', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_recording_may_stream_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    summary = simulate(workload(), record=path, **TIGHT)
    assert isinstance(summary, RunSummary)
    assert list(Trace.load(path).lines()) == list(simulate(workload(), **TIGHT).lines())


def test_a_cost_model_of_ones_own() -> None:
    costs = Constant(0.25)
    specs = [RequestSpec(prompt_len=700, output_len=3)]
    trace = simulate(specs, cost_model=costs, max_num_batched_tokens=512)
    assert costs.batches == [[(512, 0)], [(188, 512)], [(1, 700)], [(1, 701)]]
    assert trace.duration == 1.0
    with pytest.raises(ConfigError, match="does not fit"):
        simulate(specs, "llama-2-70b", cost_model=costs)
    simulate(specs, "llama-2-70b", cost_model=costs, num_blocks=100)


def test_the_pool_is_what_the_hardware_leaves() -> None:
    specs = [RequestSpec(prompt_len=9, output_len=2)]
    one = simulate(specs, "llama-2-13b", "a100-40gb").header.num_blocks
    two = simulate(specs, "llama-2-13b", "a100-40gb", tensor_parallel=2).header
    assert 0 < one * 2 < two.num_blocks
    assert two.device == "simulated: 2 × a100-40gb"


def test_where_requests_end() -> None:
    specs = [
        RequestSpec(prompt_len=10, output_len=8),
        RequestSpec(prompt_len=10, output_len=8, max_tokens=5),
        RequestSpec(prompt_len=90, output_len=80),
        RequestSpec(prompt_len=101, output_len=1),
    ]
    trace = simulate(specs, max_model_len=100)
    ends = [(r.finish_reason, r.output_len, r.max_tokens) for r in trace.requests[:3]]
    assert ends == [("stop", 8, 90), ("length", 5, 5), ("length", 10, 10)]
    assert "101 tokens" in (trace.requests[3].rejected or "")
    summary = simulate(specs, max_model_len=100, record=False)
    assert summary.metrics()["failed"] == 1


def test_a_longer_context_than_the_models_own_may_be_simulated() -> None:
    specs = [RequestSpec(prompt_len=9000, output_len=2)]
    assert simulate(specs).requests[0].rejected
    assert simulate(specs, max_model_len=16_384).requests[0].completed


def test_shared_content_is_computed_once() -> None:
    def hits(block_size: int, **shared: object) -> list[int]:
        specs = [
            RequestSpec(arrival_time=i, prompt_len=1500, output_len=2, **shared)  # type: ignore[arg-type]
            for i in range(2)
        ]
        trace = simulate(specs, block_size=block_size)
        return [r.cached_tokens for r in trace.requests]

    assert hits(16) == [0, 0]
    assert hits(16, prefix_id="a", prefix_len=1000) == [0, 992]
    assert hits(16, hash_ids=[7, 8]) == [0, 1024]
    assert hits(48, hash_ids=[7, 8]) == [0, 1008]


def test_hashes_share_as_far_as_they_are_alike() -> None:
    specs = [
        RequestSpec(arrival_time=i, prompt_len=1500, output_len=2, hash_ids=ids)
        for i, ids in enumerate(([7, 8, 9], [7, 8, 1], [7, 2, 9], [7, 8, 9]))
    ]
    trace = simulate(specs)
    assert [r.cached_tokens for r in trace.requests] == [0, 1024, 512, 1488]


def test_a_closed_loop_keeps_so_many_in_flight() -> None:
    specs = [RequestSpec(prompt_len=100, output_len=20) for _ in range(12)]
    trace = simulate(specs, max_concurrency=3)
    assert trace.metrics()["max_concurrent_requests"] == 3
    assert trace.metrics()["completed"] == 12
    assert max(r.admitted_at - r.arrival for r in trace.requests if r.admitted_at is not None) == 0
    assert len({r.arrival for r in trace.requests}) > 3


def test_text_cannot_be_simulated() -> None:
    with pytest.raises(ValueError, match="give prompt_len and output_len"):
        simulate([RequestSpec(prompt="Hello")])


def test_an_empty_workload() -> None:
    assert simulate([]).requests == []
    figures = simulate([], record=False).metrics()
    assert figures["completed"] == 0
    assert math.isnan(figures["mean_itl_ms"])


def test_unknown_settings_are_told() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'num_blocks'"):
        simulate([], num_block=3)


def mean_ttft(seconds: float, load: float, count: int, seed: int) -> float:
    """Mean TTFT in seconds of one server of constant service time under Poisson arrivals."""
    rng, now, specs = random.Random(seed), 0.0, []
    for _ in range(count):
        now += rng.expovariate(load / seconds)
        specs.append(RequestSpec(arrival_time=now, prompt_len=16, output_len=1))
    summary = simulate(
        specs, cost_model=Constant(seconds), record=False, max_num_seqs=1, scheduler="vllm"
    )
    return summary.metrics()["mean_ttft_ms"] / 1e3


def check_queueing(load: float, count: int, rel: float) -> None:
    # Whole prompts of D seconds; split over K devices (intra-operator) each takes D / K.
    for seconds in (0.1, 0.1 / 1.6):
        rate = load / seconds
        expected = seconds + rate * seconds**2 / (2 * (1 - rate * seconds))
        found = [mean_ttft(seconds, load, count, seed) for seed in range(5)]
        assert sum(found) / 5 == pytest.approx(expected, rel=rel)


def test_mean_ttft_is_that_of_a_queue_in_short() -> None:
    check_queueing(load=0.5, count=1500, rel=0.10)


@pytest.mark.full
@pytest.mark.parametrize("load", [0.4, 0.8])
def test_mean_ttft_is_that_of_a_queue(load: float) -> None:
    """DistServe, OSDI'24, section 3.1: prefill is an M/D/1 queue, mean TTFT
    D + R·D²/2(1 − R·D); split K ways D/K + R·D²/2K(K − R·D)."""
    check_queueing(load, count=100_000, rel=0.03)


@pytest.mark.parametrize("scheduler", SYSTEMS)
def test_memory_to_swap_to_is_for_those_that_preempt(scheduler: str) -> None:
    never = scheduler in ("static", "orca", "vtc", "lightllm_conservative")
    pool = {"num_blocks": 100, "preemption": "swap", "scheduler": scheduler}
    trace = simulate([RequestSpec(prompt_len=9, output_len=2)], **pool)
    assert trace.header.num_cpu_blocks == (0 if never else 100)
    if never:
        with pytest.raises(ConfigError, match="num_cpu_blocks 9 is memory to swap to, and this"):
            simulate([], num_cpu_blocks=9, **pool)
