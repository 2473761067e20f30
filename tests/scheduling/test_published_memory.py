"""What the papers say of memory comes out, in virtual time. Five fixed seeds, and their mean."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Any

import pytest
from timed_engine import Job, add, timed_engine

from minillm import SamplingParams, Trace, simulate
from minillm.events import Alloc, Step
from minillm.scheduling import Scheduler
from minillm.scheduling.admission import Admission
from minillm.scheduling.batching import PrefillFirst
from minillm.scheduling.peak import Aggressive, Conservative, PastFuture, PredictedPeak
from minillm.scheduling.prediction import Oracle
from minillm.workload import RequestSpec, synthetic
from minillm.workload.lengths import Dataset, Lognormal

SEEDS = range(5)

SYSTEMS: dict[str, dict[str, Any]] = {
    "max": {"scheduler": "orca", "kv_cache": "contiguous", "reserve": "max"},
    "pow2": {"scheduler": "orca", "kv_cache": "contiguous", "reserve": "pow2"},
    "oracle": {"scheduler": "orca", "kv_cache": "contiguous", "reserve": "oracle"},
    "vllm": {"scheduler": "vllm", "kv_cache": "paged", "enable_prefix_caching": False},
}
# The spreads of ShareGPT's lengths are not published. These are one guess, whose means are 119
# and 299; the data set "sharegpt" is another, with the means that are published, 161 and 338.
LOGNORMAL = Dataset(
    prompt=Lognormal(4.2, 1.3),
    output=Lognormal(5.25, 1.1),
    max_prompt_len=1024,
    max_total_len=2048,
)


def serve(workload: Iterable[RequestSpec], **settings: Any) -> Trace:
    """OPT-13B on an A100 of 40 GB: 15,728 slots for KV (vLLM, SOSP'23, table 1)."""
    defaults = {"num_blocks": 983, "block_size": 16, "max_model_len": 2048, "max_num_seqs": 256}
    return simulate(workload, "opt-13b", "a100-40gb", **{**defaults, **settings})


def mean_shares(system: str) -> dict[str, float]:
    """Shares of memory in %, everyone there at time 0, as long as somebody waits."""
    found: list[dict[str, float]] = []
    for seed in SEEDS:
        trace = serve(synthetic(200, LOGNORMAL, rate=math.inf, seed=seed), **SYSTEMS[system])
        series = trace.series
        last = max(end for end, waiting in zip(series.end, series.waiting, strict=True) if waiting)
        found.append(trace.memory().shares(end=last / 1e9))
    return {kind: fmean(each[kind] for each in found) for kind in found[0]}


@pytest.mark.parametrize(
    ("system", "token", "reserved", "internal", "external", "external_within"),
    [
        ("max", 20.4, 13.3, 57.3, 8.9, 3),
        ("pow2", 26.8, 17.9, 13.6, 41.6, 6),
        ("oracle", 38.2, 25.2, 0.0, 36.6, 3),
    ],
)
def test_waste_of_contiguous_memory(
    system: str,
    token: float,
    reserved: float,
    internal: float,
    external: float,
    external_within: float,
) -> None:
    """vLLM, SOSP'23, figure 2: where the memory of Orca goes, by what is reserved."""
    shares = mean_shares(system)
    assert shares["token"] == pytest.approx(token, abs=3)
    assert shares["reserved"] == pytest.approx(reserved, abs=3)
    assert shares["internal"] == pytest.approx(internal, abs=3)
    assert shares["external"] == pytest.approx(external, abs=external_within)


def test_paged_memory_is_nearly_all_tokens() -> None:
    """vLLM, SOSP'23, figure 2: 96.3 % of vLLM's memory hold tokens."""
    assert mean_shares("vllm")["token"] == pytest.approx(96.3, abs=3)


@cache
def mean_batch(system: str, rate: float) -> float:
    """Sequences running, in the mean over time, from the first to the last arrival."""
    means: list[float] = []
    for seed in SEEDS:
        workload = synthetic(500, "sharegpt", rate=rate, seed=seed)
        until = round(workload[-1].arrival_time * 1e9)
        series = serve(workload, **SYSTEMS[system]).series
        total = begin = 0
        for end, running in zip(series.end, series.running, strict=True):
            if begin >= until:
                break
            total += (end - begin) * running  # no step, nobody running: idle time is short here
            begin = end
        means.append(total / begin)
    return fmean(means)


@pytest.mark.parametrize(
    ("system", "published"),
    [
        ("max", 7.0),
        ("pow2", 9.8),
        pytest.param(
            "oracle",
            13.6,
            marks=pytest.mark.xfail(
                strict=True,
                reason="not reproduced: 12.0 here and 12.2 over an hour, 11 % less. Longer answers "
                "leave fewer runs; with those of figure 2 above it is about 14.",
            ),
        ),
        pytest.param(
            "vllm",
            30.4,
            marks=pytest.mark.xfail(
                strict=True,
                reason="not reproduced in four minutes: 23.5, memory being full only now and then. "
                "Over an hour the queue grows, and it is 27.6.",
            ),
        ),
    ],
)
def test_the_mean_batch(system: str, published: float) -> None:
    """vLLM, SOSP'23, section 6.2, figure 13: sequences batched, ShareGPT at 2 requests
    per second, by how memory is given out. benchmarks/mean_batch.py runs the paper's hour."""
    assert mean_batch(system, 2.0) == pytest.approx(published, rel=0.1)


def test_the_mean_batch_of_full_paged_memory() -> None:
    """The same as for vLLM above, with more requests than can be served."""
    assert mean_batch("vllm", 6.0) == pytest.approx(30.4, rel=0.1)


class FixedSteps:
    """Steps of equal length: only memory matters."""

    def step_seconds(self, batch: object) -> float:
        return 0.02


def waste_in_last_blocks(block_size: int, lengths: str | Dataset) -> float:
    """Σ slots never written / Σ slots allocated when everyone is complete, %."""
    shares: list[float] = []
    for seed in SEEDS:
        trace = serve(
            synthetic(300, lengths, rate=math.inf, seed=seed),
            **SYSTEMS["vllm"],
            cost_model=FixedSteps(),
            block_size=block_size,
            num_blocks=300 * 2048 // block_size,
            max_num_batched_tokens=8192,
            max_num_seqs=300,
        )
        events = (event for step in trace.steps for event in (*step.events, *step.after))
        taken = sum(len(event.blocks) for event in events if isinstance(event, Alloc))
        written = sum(request.prompt_len + request.output_len - 1 for request in trace.requests)
        shares.append(100 * (1 - written / (taken * block_size)))
    return fmean(shares)


@pytest.mark.parametrize(
    ("block_size", "published", "within"),
    [(16, 1.8, 1), (32, 3.6, 1), (64, 6.9, 1), (128, 13.3, 2), (256, 23.7, 2)],
)
def test_larger_blocks_waste_more(block_size: int, published: float, within: float) -> None:
    """The block sizes of vLLM, SOSP'23, section 7.2: the last block of a sequence is half empty in
    the mean, so the waste grows with them. The paper does not print it; these figures follow from
    ShareGPT's lengths. With the longer answers of "sharegpt" it is 1.5 to 20.9 %."""
    assert waste_in_last_blocks(block_size, LOGNORMAL) == pytest.approx(published, abs=within)


def saved_by_forks(lengths: str, rate: float, n: int) -> float:
    """Memory that `n` answers to each prompt share, %. There is room for all: who is preempted
    here is computed again on its own, and shares its prompt no more."""
    saved: list[float] = []
    for seed in SEEDS:
        workload = [
            replace(spec, sampling=SamplingParams(n=n))
            for spec in synthetic(200, lengths, rate=rate, seed=seed)
        ]
        trace = serve(workload, **SYSTEMS["vllm"], num_blocks=8000)
        assert trace.num_preemptions == 0
        saved.append(trace.memory().saved_by_sharing())
    return fmean(saved)


@pytest.mark.parametrize(
    ("lengths", "rate", "n", "published"),
    [
        ("alpaca", 2.0, 2, 6.1),
        ("alpaca", 2.0, 6, 9.8),
        ("sharegpt", 0.2, 2, 16.2),
        pytest.param(
            "sharegpt",
            0.2,
            6,
            30.5,
            marks=pytest.mark.xfail(
                strict=True,
                reason="not reproduced: 24.9, 5.6 points less. Sharing grows as (n − 1) / n from "
                "2 to 6 samples, by 1.67; the published figures grow by 1.88.",
            ),
        ),
    ],
)
def test_parallel_samples_share_their_prompt(
    lengths: str, rate: float, n: int, published: float
) -> None:
    """vLLM, SOSP'23, section 6.3 and figure 15: memory saved with 2 to 6 parallel samples. (Their
    beam search is not here: this engine has none.)"""
    assert saved_by_forks(lengths, rate, n) == pytest.approx(published, abs=5)


def past_future(admission: Callable[[], Admission]) -> tuple[int, float, float]:
    """A tenth of the published run: (steps, memory held in the mean in %, evictions in %)."""
    memory, count = 12_000, 300
    rng = random.Random(0)
    scheduler = Scheduler(batching=PrefillFirst(), admission=admission())
    engine = timed_engine(scheduler, kv_cache="token", num_blocks=memory, block_size=None)
    held: list[int] = []
    evicted: list[object] = []

    def count_step(step: Step) -> None:
        held.append(memory - engine.kv_cache.num_free_blocks)

    engine.hooks.on("step", count_step)
    engine.hooks.on("preempted", evicted.append)
    for _ in range(count):
        add(engine, Job(0, rng.randint(3, 410), rng.randint(205, 410)), max_tokens=410)
    while engine.has_unfinished:
        engine.step()
    return len(held), 100 * fmean(held) / memory, 100 * len(evicted) / count


def test_who_foresees_memory_fills_it_and_evicts_few() -> None:
    """LightLLM's past-future scheduler, ASPLOS'25: its table of schedulers, on a tenth of the
    lengths, requests and memory; benchmarks/past_future.py runs it in full."""
    aggressive, conservative, drawn, known = (
        past_future(admission)
        for admission in (
            Aggressive,
            Conservative,
            PastFuture,
            lambda: PredictedPeak(Oracle()),
        )
    )
    steps, memory, evicted = zip(aggressive, known, drawn, conservative, strict=True)
    assert list(steps) == sorted(steps)
    assert list(memory) == sorted(memory, reverse=True)
    assert evicted[0] > 50
    assert 0 < evicted[2] < 20
    assert evicted[1] == evicted[3] == 0
