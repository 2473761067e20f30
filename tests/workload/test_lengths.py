"""Length distributions have the published statistics; synthetic workloads are seeded."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from minillm import ConfigError
from minillm.workload import synthetic
from minillm.workload.lengths import DATASETS, Lognormal, Uniform, get_lengths


def drawn(name: str, count: int = 20_000) -> tuple[list[int], list[int]]:
    rng = random.Random(0)
    pairs = [DATASETS[name].sample(rng) for _ in range(count)]
    prompts, outputs = zip(*pairs, strict=True)
    return list(prompts), list(outputs)


def p90(values: list[int]) -> float:
    return statistics.quantiles(values, n=10)[-1]


@pytest.mark.parametrize(
    ("name", "prompt", "output"), [("sharegpt", 161, 338), ("alpaca", 19.3, 58.5)]
)
def test_means(name: str, prompt: float, output: float) -> None:
    """vLLM, SOSP'23, Figure 11."""
    prompts, outputs = drawn(name)
    assert statistics.mean(prompts) == pytest.approx(prompt, rel=0.04)
    assert statistics.mean(outputs) == pytest.approx(output, rel=0.04)


@pytest.mark.parametrize(
    ("name", "prompt", "output"),
    [
        ("openchat_sharegpt4", (1730, 5696), (415, 834)),
        ("arxiv_summarization", (7059, 12_985), (208, 371)),
        ("azure_conv", (1020, 2735), (129, 424)),
        ("azure_code", (1469, 5194), (13, 55)),
    ],
)
def test_medians_and_tails(name: str, prompt: tuple, output: tuple) -> None:
    """Sarathi-Serve, OSDI'24, Table 2; Azure LLM inference traces 2023."""
    for values, (median, tail) in zip(drawn(name), (prompt, output), strict=True):
        assert statistics.median(values) == pytest.approx(median, rel=0.05)
        assert p90(values) == pytest.approx(tail, rel=0.05)


def test_what_papers_leave_out_is_left_out() -> None:
    prompts, outputs = drawn("sharegpt")
    assert max(prompts) <= 1024
    assert max(a + b for a, b in zip(prompts, outputs, strict=True)) <= 2048


def test_a_lognormal_of_a_mean() -> None:
    rng = random.Random(0)
    values = [Lognormal.of_mean(300, 0.8).sample(rng) for _ in range(20_000)]
    assert statistics.mean(values) == pytest.approx(300, rel=0.03)


def test_lengths_by_name_and_by_hand() -> None:
    rng = random.Random(0)
    assert get_lengths((512, 128)).sample(rng) == (512, 128)
    uniform = Uniform((3, 5), (7, 7))
    assert {get_lengths(uniform).sample(rng) for _ in range(99)} == {(3, 7), (4, 7), (5, 7)}
    with pytest.raises(ConfigError, match="Did you mean 'sharegpt'"):
        get_lengths("sharegtp")


def test_synthetic_workloads_are_seeded() -> None:
    def make(seed: int) -> list:
        return synthetic(50, "azure_conv", clients=["a", "b"], priorities=[0, 5], seed=seed)

    assert make(1) == make(1)
    assert make(1) != make(2)
    assert {spec.client for spec in make(1)} == {"a", "b"}
    assert {spec.priority for spec in make(1)} == {0, 5}


def test_synthetic_workloads_arrive_as_asked() -> None:
    def times(**how: object) -> list[float]:
        return [s.arrival_time for s in synthetic(2000, (8, 8), **how)]  # type: ignore[arg-type]

    assert times(rate=4.0)[-1] == pytest.approx(500, rel=0.1)
    assert times(rate=4.0, steady=True)[:3] == [0, 0.25, 0.5]
    assert times(rate=4.0, burst_size=8)[7:9] == [0, 2]
    assert set(times(rate=math.inf)) == {0}
    conv = [s.arrival_time for s in synthetic(4000, "azure_conv")]
    assert len(conv) / conv[-1] == pytest.approx(5.53, rel=0.1)


def test_a_cap_on_the_total_cuts_the_prompt_first() -> None:
    specs = synthetic(300, "openchat_sharegpt4", max_total_len=2048)
    free = synthetic(300, "openchat_sharegpt4")
    for spec, whole in zip(specs, free, strict=True):
        assert spec.prompt_len is not None
        assert spec.output_len is not None
        assert spec.prompt_len + spec.output_len <= 2048
        if (whole.output_len or 0) < 2048:
            assert spec.output_len == whole.output_len
