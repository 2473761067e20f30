"""When requests arrive: seconds from the start, in ascending order, from a generator given."""

from __future__ import annotations

import random
from itertools import accumulate


def poisson(count: int, rate: float, rng: random.Random) -> list[float]:
    """`rate` requests per second, each independent of all others."""
    return gamma(count, rate, 1.0, rng)


def gamma(count: int, rate: float, burstiness: float, rng: random.Random) -> list[float]:
    """Gamma-distributed gaps, as `vllm bench serve --burstiness`: 1 is Poisson, less comes in
    bursts, more is steadier. The coefficient of variation of the gaps is burstiness^(−1/2)."""
    _positive(rate=rate, burstiness=burstiness)
    scale = 1 / (rate * burstiness)
    return list(accumulate(rng.gammavariate(burstiness, scale) for _ in range(count)))


def fixed(count: int, rate: float) -> list[float]:
    """One every 1/rate seconds; infinite `rate`: all at once."""
    _positive(rate=rate)
    return [index / rate for index in range(count)]


def bursts(count: int, rate: float, size: int) -> list[float]:
    """`size` at once, as often as gives `rate` requests per second in the mean."""
    _positive(rate=rate, size=size)
    return [index // size * size / rate for index in range(count)]


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")
