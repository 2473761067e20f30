"""SamplingParams refuses nonsense; RequestMetrics computes what its names say."""

from __future__ import annotations

from typing import Any

import pytest

from minillm.request import RequestMetrics, SamplingParams


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1}, "temperature must be ≥ 0, got -1"),
        ({"temperature": 1e-310}, r"0 \(greedy\) or at least 0.001"),
        ({"temperature": float("nan")}, "temperature must be a number, got nan"),
        ({"top_k": 2.5}, "top_k must be a whole number, got 2.5"),
        ({"seed": "x"}, "seed must be a whole number, got 'x'"),
        ({"max_tokens": "5"}, "max_tokens must be a whole number"),
        ({"stop": (5,)}, "stop must be text or a list of texts"),
        ({"stop_token_ids": ("a",)}, "a stop token id must be a whole number"),
        ({"top_p": 0}, r"top_p must be in \(0, 1\]"),
        ({"top_k": -1}, "top_k"),
        ({"min_p": 2}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"max_tokens": 0}, "max_tokens must be ≥ 1"),
        ({"max_tokens": 2, "min_tokens": 3}, "min_tokens 3 is above max_tokens 2"),
        ({"stop": ["a", ""]}, "stop string must not be empty"),
        ({"logprobs": 99}, "logprobs must be between 0 and 20"),
    ],
)
def test_impossible_sampling_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplingParams(**settings)


def test_an_unknown_sampling_argument_is_an_error() -> None:
    with pytest.raises(TypeError, match="temprature"):
        SamplingParams(temprature=1)  # type: ignore[call-arg]


def test_one_stop_string_may_be_given_bare() -> None:
    assert SamplingParams(stop="END").stop == ("END",)  # type: ignore[arg-type]


def test_tpot_excludes_the_first_token() -> None:
    metrics = RequestMetrics(1.0, 1.5, 2.0, 4.0, 0, 0, num_output_tokens=5)
    assert metrics.ttft == 1.0
    assert metrics.e2el == 3.0
    assert metrics.tpot == 0.5
    one = RequestMetrics(1.0, 1.5, 2.0, 2.0, 0, 0, num_output_tokens=1)
    assert one.tpot is None
