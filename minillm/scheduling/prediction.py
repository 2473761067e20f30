"""Length prediction: how many tokens will this answer have? Those who know, and those who pretend
to; `learned.py` has those who learn."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from math import pi, sin, sqrt
from random import Random
from statistics import NormalDist
from typing import Protocol

from minillm.request import Request


class Predictor(Protocol):
    def predict(self, request: Request) -> float:
        """Output tokens that `request` will have in all. The same each time it is asked, until
        more of the answer is written."""
        ...


class Oracle:
    """Knows the truth where a workload fixes it, and nobody else may look. Where a real model
    decides, there is no truth yet: then it is the most that was asked for, max_tokens."""

    def predict(self, request: Request) -> float:
        truth = request.true_output_len
        return request.max_tokens if truth is None else min(truth, request.max_tokens)


class Noisy:
    """The oracle, blurred so that predicted and true lengths have a given Kendall τ.

    The true length's place in the distribution of `lengths` becomes a normal score z. Mixed with
    independent noise to correlation ρ = sin(πτ/2) it has Kendall's τ with the truth, whatever the
    distribution; the mixed score is read back as a length. τ = 1 is the oracle, 0 knows nothing.
    Equal lengths in `lengths` count as neither agreement nor contradiction.
    """

    def __init__(self, lengths: Iterable[int], *, tau: float, seed: int = 0) -> None:
        if not -1 <= tau <= 1:
            raise ValueError(f"Kendall's tau must be in [-1, 1], got {tau}")
        self._lengths = sorted(lengths)
        if not self._lengths:
            raise ValueError("lengths is empty: a sample of true output lengths is needed")
        self._rho = sin(pi * tau / 2)
        self._seed = seed
        self._oracle = Oracle()
        self._normal = NormalDist()

    def predict(self, request: Request) -> float:
        noise = Random(f"{self._seed}/{request.request_id}").gauss(0, 1)
        n = len(self._lengths)
        truth = self._oracle.predict(request)
        place = min(n - 1, bisect_left(self._lengths, truth))
        score = self._normal.inv_cdf((place + 0.5) / n)
        mixed = self._rho * score + sqrt(max(0.0, 1 - self._rho**2)) * noise
        return self._quantile(self._normal.cdf(mixed))

    def _quantile(self, share: float) -> float:
        """The length below which `share` of all are, between two neighbours in proportion."""
        place = share * len(self._lengths) - 0.5
        low = max(0, min(len(self._lengths) - 1, int(place)))
        high = min(len(self._lengths) - 1, low + 1)
        part = min(1.0, max(0.0, place - low))
        return self._lengths[low] + part * (self._lengths[high] - self._lengths[low])
