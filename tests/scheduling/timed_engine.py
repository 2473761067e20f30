"""Simulated engines whose steps last as long as a small formula says."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minillm.clock import VirtualClock
from minillm.config import EngineConfig
from minillm.engine import Engine
from minillm.execution.simulated import SimulatedExecutor
from minillm.request import RequestOutput, SamplingParams
from minillm.scheduling import Scheduler, make_scheduler


@dataclass(frozen=True)
class LinearCost:
    """A step takes `fixed` seconds and `per_token` for each token computed."""

    fixed: float = 0.010
    per_token: float = 0.0

    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        return self.fixed + self.per_token * sum(new for new, _ in batch)


@dataclass(frozen=True)
class Job:
    """Times in seconds, lengths in tokens."""

    arrival: float
    prompt: int
    output: int
    client: str | None = None
    priority: int = 0


def timed_engine(
    scheduler: str | Scheduler, cost: LinearCost | None = None, **settings: object
) -> Engine:
    """Memory is plenty unless `num_blocks` says otherwise."""
    cost = cost or LinearCost()
    policy = make_scheduler(scheduler)
    defaults = {"block_size": 1, "num_blocks": 1_000_000, "enable_prefix_caching": False}
    config = EngineConfig.from_kwargs(**{**defaults, **settings}).resolve(
        chunked=policy.chunked, model_max_len=8192
    )
    executor = SimulatedExecutor(cost)
    return Engine(executor, policy, config, clock=VirtualClock(), estimate=cost.step_seconds)


def add(engine: Engine, job: Job, max_tokens: int | None = None) -> str:
    return engine.add_request(
        None,
        SamplingParams(max_tokens=max_tokens or job.output),
        num_prompt_tokens=job.prompt,
        true_output_len=job.output,
        arrival_time=round(job.arrival * 1e9),
        client=job.client,
        priority=job.priority,
    )


def play(engine: Engine, jobs: Iterable[Job]) -> list[float]:
    """Run all of `jobs` to their end; completion times in seconds, in the order of arrival."""
    pending = sorted(jobs, key=lambda job: job.arrival)[::-1]
    took: dict[str, float] = {}
    names: list[str] = []

    def note(output: RequestOutput) -> None:
        took[output.request_id] = output.metrics.e2el or 0.0

    engine.hooks.on("finished", note)
    while pending or engine.has_unfinished:
        if not engine.has_unfinished:
            engine.clock.advance_to(round(pending[-1].arrival * 1e9))
        while pending and round(pending[-1].arrival * 1e9) <= engine.clock.now:
            names.append(add(engine, pending.pop()))
        engine.step()
    return [took[name] for name in names]


def heavy_tailed(seed: int, count: int, rate: float) -> list[Job]:
    """Poisson arrivals, log-normal prompts and answers: most short, a few very long."""
    rng = random.Random(seed)
    jobs: list[Job] = []
    now = 0.0
    for _ in range(count):
        now += rng.expovariate(rate)
        prompt = min(2000, max(4, round(rng.lognormvariate(5.0, 1.2))))
        output = min(2000, max(1, round(rng.lognormvariate(4.0, 1.3))))
        jobs.append(Job(now, prompt, output))
    return jobs
