"""Length predictors, and who may look at the truth."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from timed_engine import Job, play, timed_engine

from minillm.request import Request, SamplingParams
from minillm.scheduling import SYSTEMS
from minillm.scheduling.prediction import Noisy, Oracle

ORACLES = {"sjf", "srtf", "ltr"}


def request(name: str, output: int | None, max_tokens: int = 1000) -> Request:
    return Request(name, 0, 5, SamplingParams(), max_tokens, 0, true_output_len=output)


def kendall(pairs: Sequence[tuple[float, float]]) -> float:
    agree = [(a - c) * (b - d) for (a, b), (c, d) in combinations(pairs, 2)]
    return (sum(x > 0 for x in agree) - sum(x < 0 for x in agree)) / len(agree)


@pytest.mark.parametrize("tau", [-0.5, 0.0, 0.4, 0.8, 1.0])
def test_noise_has_the_kendall_tau_asked_for(tau: float) -> None:
    rng = random.Random(3)
    lengths = rng.sample(range(1, 5000), 500)
    predictor = Noisy(lengths, tau=tau, seed=1)
    pairs = [(n, predictor.predict(request(str(i), n, 5000))) for i, n in enumerate(lengths)]
    assert kendall(pairs) == pytest.approx(tau, abs=0.1)


def test_a_prediction_is_the_same_each_time_it_is_asked() -> None:
    predictor = Noisy([3, 5, 100], tau=0.5)
    assert predictor.predict(request("a", 5)) == predictor.predict(request("a", 5))
    assert predictor.predict(request("a", 5)) != predictor.predict(request("b", 5))


def test_noise_is_refused_where_it_has_no_meaning() -> None:
    with pytest.raises(ValueError, match="Kendall's tau"):
        Noisy([1], tau=1.5)
    with pytest.raises(ValueError, match="lengths is empty"):
        Noisy([], tau=0.5)


def test_the_oracle_falls_back_on_what_was_asked_for() -> None:
    assert Oracle().predict(request("a", 7)) == 7
    assert Oracle().predict(request("a", None, max_tokens=40)) == 40
    assert Oracle().predict(request("a", 70, max_tokens=40)) == 40


@pytest.mark.parametrize("scheduler", SYSTEMS)
def test_only_oracles_read_the_future(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slot: Any = Request.__dict__["true_output_len"]
    readers: set[str] = set()

    def read(request: Request) -> Any:
        readers.add(sys._getframe(1).f_globals["__name__"])
        return slot.__get__(request)

    monkeypatch.setattr(Request, "true_output_len", property(read, slot.__set__))
    engine = timed_engine(scheduler, max_num_seqs=3, num_blocks=60)
    play(engine, [Job(0.01 * i, 5 + 7 * i % 11, 3 + 5 * i % 17) for i in range(12)])
    readers = {name for name in readers if name.startswith("minillm.scheduling")}
    assert readers == ({"minillm.scheduling.prediction"} if scheduler in ORACLES else set())
