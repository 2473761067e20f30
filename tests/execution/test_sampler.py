"""Sampling: each option against its definition, draws against their distribution."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from execution.steps import request
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    LogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from minillm.execution.randomness import uniform
from minillm.execution.sampler import Sampler
from minillm.request import Request

VOCAB = 40
LOGITS = torch.randn(VOCAB, generator=torch.Generator().manual_seed(3)) * 2
SAMPLER = Sampler(seed=0, eos_token_ids=[2])


def asking(
    number: int = 0,
    prompt: list[int] | None = None,
    output: list[int] | None = None,
    **sampling: Any,
) -> Request:
    r = request(number, [5, 6] if prompt is None else prompt, **sampling)
    r.output_token_ids = list(output or [])
    r.num_output_tokens = len(r.output_token_ids)
    return r


def draw(logits: torch.Tensor, **sampling: Any) -> torch.Tensor:
    """Frequencies of 20,000 requests' first tokens."""
    options: dict[str, Any] = {"temperature": 1.0} | sampling
    requests = [asking(i, **options) for i in range(20_000)]
    sampled = SAMPLER.sample(logits.expand(len(requests), -1), requests).read()
    counts = torch.bincount(torch.tensor([s.token_id for s in sampled]), minlength=len(logits))
    return counts / len(requests)


def assert_same_distribution(
    frequencies: torch.Tensor, probs: torch.Tensor, n: int = 20_000
) -> None:
    """Chi-square at six standard deviations; what is impossible must not occur."""
    assert not frequencies[probs == 0].any()
    seen = probs > 0
    chi2 = (n * (frequencies[seen] - probs[seen]) ** 2 / probs[seen]).sum().item()
    freedom = int(seen.sum()) - 1
    assert chi2 <= freedom + 6 * math.sqrt(2 * max(freedom, 1))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_temperature(temperature: float):
    frequencies = draw(LOGITS, temperature=temperature)
    assert_same_distribution(frequencies, torch.softmax(LOGITS / temperature, -1))


@pytest.mark.parametrize(
    ("sampling", "warper"),
    [
        ({"top_k": 5}, TopKLogitsWarper(5)),
        ({"top_k": 1}, TopKLogitsWarper(1)),
        ({"top_p": 0.7}, TopPLogitsWarper(0.7)),
        ({"top_p": 0.01}, TopPLogitsWarper(0.01)),
        ({"min_p": 0.1}, MinPLogitsWarper(0.1)),
        ({"min_p": 1.0}, MinPLogitsWarper(1.0)),
    ],
)
def test_filters_keep_what_transformers_keeps(sampling: dict[str, Any], warper: LogitsProcessor):
    want = torch.softmax(warper(torch.tensor([[0]]), LOGITS[None].clone()), -1)[0]  # type: ignore[arg-type]
    assert_same_distribution(draw(LOGITS, **sampling), want)


def test_filters_together_are_min_p_then_top_k_then_top_p():
    scores = LOGITS[None].clone()
    for warper in (MinPLogitsWarper(0.05), TopKLogitsWarper(6), TopPLogitsWarper(0.8)):
        scores = warper(torch.tensor([[0]]), scores)  # type: ignore[arg-type]
    assert_same_distribution(
        draw(LOGITS, min_p=0.05, top_k=6, top_p=0.8), torch.softmax(scores, -1)[0]
    )


def test_top_p_that_needs_more_than_the_head(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("minillm.execution.sampler.TOP_P_HEAD", 4)
    warped = TopPLogitsWarper(0.9)(torch.tensor([[0]]), LOGITS[None].clone())  # type: ignore[arg-type]
    assert_same_distribution(draw(LOGITS, top_p=0.9), torch.softmax(warped, -1)[0])


def test_top_k_beyond_the_vocabulary_keeps_all():
    assert_same_distribution(draw(LOGITS, top_k=10_000), torch.softmax(LOGITS, -1))


def test_draws_over_positions_of_one_request_follow_the_distribution_too():
    requests = [asking(temperature=1.0, seed=4, output=[1] * n) for n in range(3000)]
    sampled = SAMPLER.sample(LOGITS.expand(3000, -1), requests).read()
    counts = torch.bincount(torch.tensor([s.token_id for s in sampled]), minlength=VOCAB)
    assert_same_distribution(counts / 3000, torch.softmax(LOGITS, -1), 3000)


SAMPLINGS = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.0, 0.7, 1.5]),
        "top_k": st.sampled_from([0, 1, 7]),
        "top_p": st.sampled_from([0.3, 1.0]),
        "min_p": st.sampled_from([0.0, 0.2]),
        "seed": st.sampled_from([None, 1, 2]),
        "repetition_penalty": st.sampled_from([1.0, 1.3]),
        "frequency_penalty": st.sampled_from([0.0, 0.5]),
        "logprobs": st.sampled_from([None, 0, 3]),
    }
)


@settings(deadline=None)
@given(st.lists(SAMPLINGS, min_size=1, max_size=6), st.randoms())
def test_neighbours_change_nothing(samplings: list[dict[str, Any]], rng: Any):
    requests = [asking(i, output=[i, i, 3], **s) for i, s in enumerate(samplings)]
    logits = torch.randn(len(requests), VOCAB, generator=torch.Generator().manual_seed(1))
    alone = [SAMPLER.sample(logits[i : i + 1], [r]).read()[0] for i, r in enumerate(requests)]
    order = list(range(len(requests)))
    rng.shuffle(order)
    together = SAMPLER.sample(logits[order], [requests[i] for i in order]).read()
    for i, got in zip(order, together, strict=True):
        assert got.token_id == alone[i].token_id
        assert (got.logprobs or {}).keys() == (alone[i].logprobs or {}).keys()


def test_a_seed_of_its_own_makes_a_request_independent_of_engine_and_number():
    logits = torch.zeros(1, 1000)

    def first(sampler: Sampler, number: int, seed: int | None) -> int:
        return (
            sampler.sample(logits, [asking(number, temperature=1.0, seed=seed)]).read()[0].token_id
        )

    other = Sampler(seed=99, eos_token_ids=[])
    assert first(SAMPLER, 1, 7) == first(other, 8, 7)
    assert first(SAMPLER, 1, 7) != first(SAMPLER, 1, 8)
    assert first(SAMPLER, 1, None) != first(SAMPLER, 2, None)
    assert first(SAMPLER, 1, None) != first(other, 1, None)


def test_uniform_numbers_do_not_correlate():
    """Neighbouring seeds, requests and positions: means and lag-one products as if independent."""
    n = 20_000
    for series in (
        [uniform(0, None, 0, i) for i in range(n)],
        [uniform(0, None, i, 0) for i in range(n)],
        [uniform(i, None, 0, 0) for i in range(n)],
        [uniform(0, i, 0, 0) for i in range(n)],
    ):
        u = torch.tensor(series, dtype=torch.float64)
        assert u.min() >= 0
        assert u.max() < 1
        assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 12 / n)
        lag = ((u[1:] - 0.5) * (u[:-1] - 0.5)).mean()
        assert abs(lag) < 5 / 12 / math.sqrt(n)


def test_negative_and_huge_seeds_are_seeds():
    assert 0 <= uniform(-1, None, 0, 0) < 1
    assert uniform(0, -1, 0, 0) != uniform(0, 2**80, 0, 0)


def logprobs_of(**asked: Any) -> torch.Tensor:
    """All log-probabilities, as far as reported: the processed logits become visible."""
    sampled = SAMPLER.sample(LOGITS[None, :20], [asking(logprobs=20, **asked)]).read()[0]
    assert sampled.logprobs is not None
    return torch.tensor([sampled.logprobs[i].logprob for i in range(20)])


def test_repetition_penalty_counts_prompt_and_output():
    got = logprobs_of(prompt=[5, 6], output=[7, 7], repetition_penalty=1.5)
    seen = torch.tensor([[5, 6, 7, 7]])
    penalised = RepetitionPenaltyLogitsProcessor(1.5)(seen, LOGITS[None, :20].clone())  # type: ignore[arg-type]
    torch.testing.assert_close(got, penalised.log_softmax(-1)[0])


def test_presence_and_frequency_penalties_count_the_output_only():
    got = logprobs_of(prompt=[5, 6], output=[7, 7, 8], presence_penalty=0.5, frequency_penalty=0.25)
    want = LOGITS[:20].clone()
    want[7] -= 0.5 + 2 * 0.25
    want[8] -= 0.5 + 0.25
    torch.testing.assert_close(got, want.log_softmax(-1))


def test_logprobs_are_before_temperature_and_know_their_rank():
    probs = LOGITS.log_softmax(-1)
    order = probs.argsort(descending=True).tolist()
    requests = [asking(i, temperature=2.0, logprobs=2) for i in range(50)]
    for sampled in SAMPLER.sample(LOGITS.expand(50, -1), requests).read():
        reported = sampled.logprobs
        assert reported is not None
        assert next(iter(reported)) == sampled.token_id
        assert set(reported) == {sampled.token_id, *order[:2]}
        for token, entry in reported.items():
            assert entry.logprob == pytest.approx(probs[token].item(), abs=1e-5)
            assert entry.rank == order.index(token) + 1


def test_logprobs_zero_reports_the_sampled_token_alone():
    sampled = SAMPLER.sample(LOGITS[None], [asking(logprobs=0)]).read()[0]
    assert sampled.logprobs is not None
    assert list(sampled.logprobs) == [sampled.token_id]


def test_min_tokens_forbids_every_end():
    logits = torch.zeros(1, VOCAB)
    logits[0, 2], logits[0, 9], logits[0, 4] = 9.0, 8.0, 7.0
    for temperature in (0.0, 0.01):
        early = asking(
            output=[1], min_tokens=2, stop_token_ids=(9,), temperature=temperature, max_tokens=5
        )
        assert SAMPLER.sample(logits, [early]).read()[0].token_id == 4
        late = asking(
            output=[1, 1], min_tokens=2, stop_token_ids=(9,), temperature=temperature, max_tokens=5
        )
        assert SAMPLER.sample(logits, [late]).read()[0].token_id == 2


def test_the_logits_given_are_left_as_they_were():
    logits = LOGITS[None].clone()
    SAMPLER.sample(
        logits, [asking(output=[7], frequency_penalty=1.0, logprobs=1, min_tokens=4)]
    ).read()
    torch.testing.assert_close(logits, LOGITS[None])


def test_all_greedy_is_the_argmax():
    logits = torch.randn(5, VOCAB).bfloat16()
    sampled = SAMPLER.sample(logits, [asking(i) for i in range(5)]).read()
    assert [s.token_id for s in sampled] == logits.argmax(-1).tolist()
    assert all(s.logprobs is None for s in sampled)


def test_nan_logits_still_give_a_token():
    requests = [asking(0), asking(1, temperature=1.0), asking(2, temperature=1.0, top_p=0.5)]
    sampled = SAMPLER.sample(torch.full((3, VOCAB), float("nan")), requests).read()
    assert all(0 <= s.token_id < VOCAB for s in sampled)
