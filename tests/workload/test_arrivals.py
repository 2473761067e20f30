"""Arrival processes: their rate, their spread, their seed."""

from __future__ import annotations

import math
import random
import statistics
from itertools import pairwise

import pytest

from minillm.workload.arrivals import bursts, fixed, gamma, poisson


def gaps(times: list[float]) -> list[float]:
    return [b - a for a, b in pairwise([0.0, *times])]


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gamma_has_the_rate_and_the_spread_asked_for(burstiness: float) -> None:
    found = gaps(gamma(40_000, 5.0, burstiness, random.Random(1)))
    assert statistics.mean(found) == pytest.approx(1 / 5, rel=0.03)
    spread = statistics.pstdev(found) / statistics.mean(found)
    assert spread == pytest.approx(burstiness**-0.5, rel=0.03)


def test_poisson_gaps_are_exponential() -> None:
    found = gaps(poisson(40_000, 2.0, random.Random(1)))
    for time in (0.1, 0.5, 1.5):
        longer = sum(gap > time for gap in found) / len(found)
        assert longer == pytest.approx(math.exp(-2 * time), abs=0.01)


def test_fixed_and_bursts() -> None:
    assert fixed(4, 2.0) == [0, 0.5, 1.0, 1.5]
    assert fixed(3, math.inf) == [0, 0, 0]
    assert bursts(5, 2.0, 2) == [0, 0, 1, 1, 2]


def test_seeded_and_ascending() -> None:
    times = gamma(500, 3.0, 0.5, random.Random(7))
    assert times == gamma(500, 3.0, 0.5, random.Random(7))
    assert times != gamma(500, 3.0, 0.5, random.Random(8))
    assert times == sorted(times)


def test_impossible_figures_are_refused() -> None:
    with pytest.raises(ValueError, match="rate must be above 0, got 0"):
        fixed(1, 0)
    with pytest.raises(ValueError, match="burstiness must be above 0, got -1"):
        gamma(1, 1.0, -1, random.Random())
