"""How many requests per second `sarathi` serves within strict limits, against `vllm`.

After Sarathi-Serve (Agrawal et al., OSDI'24, Fig. 10, strict SLO, openchat_sharegpt4): capacity is
the largest Poisson rate at which the 99th percentile of the time between tokens is at most five
times a decode step of 32 sequences with 4,096 tokens each, and the median scheduling delay at most
2 s. Mistral-7B on one A100 and Yi-34B on two; at most 8,192 tokens a request, 128 sequences a
batch, 512 tokens a step for `sarathi` and whole prompts for `vllm`. All in simulated time; the
limit comes from the same cost model.

Means over five seeds, fixed. The paper's ratios are of measured systems (2.6 and 3.7). A longer run
tells how far the finite number of requests matters: in an overload, delay grows with the run.

    python benchmarks/capacity.py [--requests 1000] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import mean
from typing import Any

from rich.progress import track

from minillm.bench import Slo, WorkloadSettings, capacity
from minillm.costs import cost_model

HARDWARE = "a100-80gb"
SYSTEMS = {"mistral-7b": 1, "yi-34b": 2}  # model → devices
PUBLISHED = {"mistral-7b": 2.6, "yi-34b": 3.7}
SCHEDULERS = ("vllm", "sarathi")
LONGEST = 8192  # tokens, prompt and answer
TOLERANCE = 0.05


def strict(model: str) -> Slo:
    """The strict objective for `model`."""
    decode = cost_model(model, HARDWARE, SYSTEMS[model]).step_seconds([(1, 4096)] * 32)
    return Slo(limits={"p99_itl": 5e3 * decode, "median_queue": 2000.0})


def requests_per_second(model: str, scheduler: str, requests: int, seed: int) -> float:
    """The capacity of one system, from one seed."""
    workload = WorkloadSettings(
        dataset_name="openchat_sharegpt4",
        num_prompts=requests,
        max_total_len=LONGEST,
        seed=seed,
    )
    found = capacity(
        workload.requests,
        strict(model),
        start=0.5,
        tolerance=TOLERANCE,
        model=model,
        hardware=HARDWARE,
        tensor_parallel=SYSTEMS[model],
        scheduler=scheduler,
        max_model_len=LONGEST,
    )
    return found.rate


def compared(model: str, requests: int, seeds: range) -> dict[str, Any]:
    """Capacities of both schedulers, and how many times as much the second serves."""
    cells = [(scheduler, seed) for scheduler in SCHEDULERS for seed in seeds]
    rates: dict[str, list[float]] = {scheduler: [] for scheduler in SCHEDULERS}
    for scheduler, seed in track(cells, description=f"{model}, {requests:,} requests"):
        rates[scheduler].append(requests_per_second(model, scheduler, requests, seed))
    ratios = [b / a for a, b in zip(*rates.values(), strict=True)]
    return {
        "requests": requests,
        "requests_per_second": {name: [round(r, 3) for r in all] for name, all in rates.items()},
        "ratios": [round(ratio, 2) for ratio in ratios],
        "ratio": round(mean(ratios), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    began = time.process_time()
    result: dict[str, Any] = {
        "benchmark": "capacity",
        "tolerance": TOLERANCE,
        "published_ratio": PUBLISHED,
        "goal": "both ratios above 1.5, that of yi-34b above that of mistral-7b",
    }
    for model in SYSTEMS:
        limits = {f"{name}_ms": round(ms, 1) for name, ms in strict(model).limits.items()}
        result[model] = {
            "limits": limits,
            "five_seeds": compared(model, options.requests, range(5)),
            "three_times_as_long": compared(model, 3 * options.requests, range(1)),
        }
    result["cpu_minutes"] = round((time.process_time() - began) / 60, 1)
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
