"""Computes the constants of `Achieved` from the two measurements they rest on.

    python -m minillm.costs.calibrate vidur_a100_mlp_llama2_7b.csv

The file is Vidur's profile of Llama-2-7B's linear and elementwise operators on A100
(github.com/microsoft/vidur, MIT). DistServe's formulas for OPT-13B on A100 stand below.
"""

from __future__ import annotations

import csv
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from minillm.costs.cost_model import Achieved, RooflineCostModel
from minillm.costs.hardware import HARDWARE
from minillm.costs.roofline import elementwise, linears
from minillm.costs.shapes import MODELS

A100 = HARDWARE["a100-80gb"]
_LINEAR = ("attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj")
_ELEMENTWISE = ("input_layernorm", "attn_rope", "add", "post_attention_layernorm", "mlp_act", "add")


def distserve_prefill(lengths: Sequence[int]) -> float:
    """Seconds that DistServe's profile gives for one prefill batch of OPT-13B on A100."""
    return (18.10 + 0.10191 * sum(lengths) + 7.12e-6 * sum(n * n for n in lengths)) / 1e3


def distserve_decode(contexts: Sequence[int]) -> float:
    """Seconds that DistServe's profile gives for one decode step of OPT-13B on A100."""
    return (19.93 + 6.27e-4 * sum(contexts) + 0.0385 * len(contexts)) / 1e3


class Profile:
    """Vidur's measurements: (devices, tokens, seconds) of one layer, and the weight of each, so
    that every doubling of the number of tokens counts alike."""

    def __init__(self, path: str | Path) -> None:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        keys = [(int(row["num_tensor_parallel_workers"]), int(row["num_tokens"])) for row in rows]
        octaves = Counter((devices, tokens.bit_length()) for devices, tokens in keys)
        self.weights = [1 / octaves[devices, tokens.bit_length()] for devices, tokens in keys]
        self.linear = [(*k, _seconds(row, _LINEAR)) for k, row in zip(keys, rows, strict=True)]
        self.elementwise = [
            (*k, _seconds(row, _ELEMENTWISE)) for k, row in zip(keys, rows, strict=True)
        ]


def _seconds(row: dict[str, str], names: Sequence[str]) -> float:
    return sum(float(row[f"time_stats.{name}.median"]) for name in names) / 1e3


def minimise(
    function: Callable[[list[float]], float], start: Sequence[float], rounds: int = 60
) -> list[float]:
    """A pattern search over positive parameters: each is scaled up and down, by less and less."""
    best, step = list(start), 0.2
    value = function(best)
    for _ in range(rounds):
        improved = False
        for index in range(len(best)):
            for factor in (1 + step, 1 / (1 + step)):
                trial = [*best]
                trial[index] *= factor
                if (new := function(trial)) < value:
                    best, value, improved = trial, new, True
        if not improved:
            step /= 2
    return best


def fit_vidur(profile: Profile) -> Achieved:
    """The six constants of linear and elementwise operators, by least squares of log ratios."""
    shards = {devices: MODELS["llama-2-7b"].shard(devices) for devices in (1, 2, 4, 8)}
    work = []
    for devices, tokens, seconds in profile.linear:
        table = linears(shards[devices], tokens)
        ops = sum(o.ops for o in table) / A100.flops
        moved = sum(o.bytes for o in table) / A100.bandwidth
        work.append((ops, moved, seconds))
    light = [
        (sum(o.bytes for o in elementwise(shards[devices], tokens)) / A100.bandwidth, seconds)
        for devices, tokens, seconds in profile.elementwise
    ]

    def linear_error(parameters: list[float]) -> float:
        compute, bandwidth, p, fixed = parameters
        ratios = (
            (((ops / compute) ** p + (moved / bandwidth) ** p) ** (1 / p) + fixed) / seconds
            for ops, moved, seconds in work
        )
        return _error(ratios, profile.weights)

    def elementwise_error(parameters: list[float]) -> float:
        bandwidth, fixed = parameters
        ratios = ((moved / bandwidth + fixed) / seconds for moved, seconds in light)
        return _error(ratios, profile.weights)

    compute, bandwidth, overlap, linear_seconds = minimise(linear_error, (0.75, 0.75, 2.5, 1e-5))
    light_bandwidth, light_seconds = minimise(elementwise_error, (0.5, 1e-5))
    print(f"Vidur, linear: {linear_error([compute, bandwidth, overlap, linear_seconds]):.1%}")
    print(f"Vidur, elementwise: {elementwise_error([light_bandwidth, light_seconds]):.1%}")
    return Achieved(
        compute=compute,
        bandwidth=bandwidth,
        overlap=overlap,
        linear_seconds=linear_seconds,
        elementwise_bandwidth=light_bandwidth,
        elementwise_seconds=light_seconds,
    )


def fit_distserve(achieved: Achieved) -> Achieved:
    """Attention from the terms in length; what an iteration costs beside from the rest of the
    decode formula, for batches of 1 to 128. The prefill formula's rest is predicted, not fitted."""
    shape = MODELS["opt-13b"]
    ops_per_pair = shape.num_layers * shape.num_heads * (4 * shape.head_dim + 5)
    achieved = replace(
        achieved,
        attention_compute=ops_per_pair / 2 / (7.12e-9 * A100.flops),
        attention_bandwidth=shape.kv_bytes_per_token() / (6.27e-7 * A100.bandwidth),
    )
    batches = [[(1, context)] * n for n in (1, 2, 4, 8, 16, 32, 64, 128) for context in (256, 1024)]

    def error(parameters: list[float]) -> float:
        trial = replace(achieved, iteration_seconds=parameters[0])
        model = RooflineCostModel(shape, A100, achieved=trial)
        ratios = (
            model.step_seconds(batch) / distserve_decode([c for _, c in batch]) for batch in batches
        )
        return _error(ratios, [1.0] * len(batches))

    (iteration,) = minimise(error, (2e-3,))
    achieved = replace(achieved, iteration_seconds=iteration)
    model = RooflineCostModel(shape, A100, achieved=achieved)
    lengths = (64, 128, 256, 512, 1024, 2048)
    ratios = (model.step_seconds([(n, 0)]) / distserve_prefill([n]) for n in lengths)
    print(f"DistServe, decode: {error([iteration]):.1%}")
    print(f"DistServe, prefill: {_error(ratios, [1.0] * len(lengths)):.1%}")
    return achieved


def _error(ratios: Iterable[float], weights: Sequence[float]) -> float:
    """Weighted root mean square of the logarithms of `ratios`."""
    squares = [math.log(ratio) ** 2 for ratio in ratios]
    total = sum(weight * square for weight, square in zip(weights, squares, strict=True))
    return math.sqrt(total / sum(weights))


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(fit_distserve(fit_vidur(Profile(sys.argv[1]))))


if __name__ == "__main__":
    main()
