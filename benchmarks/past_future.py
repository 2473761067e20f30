"""How well a scheduler that predicts memory fills it: the past-future paper (LightLLM, ASPLOS'25).

120,000 slots of memory, block size 1. 3,000 requests at time 0, prompts uniform in 32 to 4,096
tokens, answers in 2,048 to 4,096, max_tokens 4,096. Four admissions: by what is held now
(aggressive), by max_tokens (conservative), by answers drawn from those that finished lately
(past-future), and by the true lengths (oracle).

Counted: steps, and those of them that only decode (a prefill has a step of its own here); memory
held in the mean over all steps; evictions per hundred requests. Only counts matter, so every step
lasts one second.

    python benchmarks/past_future.py [--requests 3000] [--seeds 1] [--out FILE.json]

takes some ten minutes per seed.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from minillm.clock import VirtualClock
from minillm.config import EngineConfig
from minillm.engine import Engine
from minillm.events import Step
from minillm.execution.simulated import SimulatedExecutor
from minillm.scheduling import Scheduler
from minillm.scheduling.admission import Admission
from minillm.scheduling.batching import PrefillFirst
from minillm.scheduling.peak import Aggressive, Conservative, PastFuture, PredictedPeak
from minillm.scheduling.prediction import Oracle
from minillm.workload import RequestSpec, WorkloadDriver
from minillm.workload.lengths import Uniform

MEMORY = 120_000  # slots
LENGTHS = Uniform((32, 4096), (2048, 4096))
MAX_TOKENS = 4096

ADMISSIONS: dict[str, Callable[[], Admission]] = {
    "aggressive": Aggressive,
    "conservative": Conservative,
    "past-future, 5 % reserve": PastFuture,
    "past-future, 3 % reserve": lambda: PastFuture(reserve=0.03),
    "oracle": lambda: PredictedPeak(Oracle()),
}
PUBLISHED = {
    "aggressive": "281-284k steps, 98.4 % of memory, 93-96 % evicted",
    "conservative": "487k steps, 57.8 % of memory, none evicted",
    "past-future": "297-302k steps, 93.4 % of memory, 8.5-9.3 % evicted",
    "oracle": "298k steps, 94.8 % of memory, none evicted",
}
NOTES = [
    "The published steps are nearest to the decode steps here, where a prefill has its own step.",
    "Past-future: which reserve, of 3 to 5 %, gave the published figures is not known. With 3 % "
    "evictions are 1 point more; with 5 % memory is 1.7 points emptier, evictions 5 points fewer.",
    "Aggressive: evictions are 4 points fewer than published; with seed 1 they are 88.8 %.",
]


class OneSecond:
    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        return 1.0


def run(admission: Admission, requests: int, seed: int) -> dict[str, float]:
    """One run's counts."""
    longest = LENGTHS.prompt_len[1] + MAX_TOKENS
    config = EngineConfig(
        kv_cache="token", num_blocks=MEMORY, max_model_len=longest, max_num_seqs=256, seed=seed
    ).resolve(chunked=False, model_max_len=longest)
    scheduler = Scheduler(batching=PrefillFirst(), admission=admission)
    engine = Engine(SimulatedExecutor(OneSecond()), scheduler, config, clock=VirtualClock())
    rng = random.Random(seed)
    lengths = [LENGTHS.sample(rng) for _ in range(requests)]
    workload = [
        RequestSpec(prompt_len=prompt, output_len=output, max_tokens=MAX_TOKENS)
        for prompt, output in lengths
    ]
    held = steps = prefills = evicted = 0

    def count_step(step: Step) -> None:
        nonlocal held, steps, prefills
        steps += 1
        prefills += bool(step.prefills)
        held += MEMORY - engine.kv_cache.num_free_blocks

    def count_eviction(event: object) -> None:
        nonlocal evicted
        evicted += 1

    engine.hooks.on("step", count_step)
    engine.hooks.on("preempted", count_eviction)
    driver = WorkloadDriver(engine, workload)
    while not driver.finished:
        driver.step()
    assert not driver.rejections
    return {
        "steps": steps,
        "decode_steps": steps - prefills,
        "memory_percent": 100 * held / steps / MEMORY,
        "evicted_percent": 100 * evicted / requests,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    means: dict[str, dict[str, float]] = {}
    for name, admission in ADMISSIONS.items():
        runs = [run(admission(), options.requests, seed) for seed in range(options.seeds)]
        means[name] = {key: round(statistics.fmean(r[key] for r in runs), 2) for key in runs[0]}
        print(f"{name}: {json.dumps(means[name])}", flush=True)
    result = {
        "benchmark": "past_future",
        "requests": options.requests,
        "seeds": options.seeds,
        "published": PUBLISHED,
        "means": means,
        "notes": NOTES,
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
