"""`serve`: a real model behind the same workload, result and words."""

from __future__ import annotations

import pytest

from minillm import LLM
from minillm.bench import WorkloadSettings, serve
from minillm.workload import RequestSpec

SMALL = WorkloadSettings(num_prompts=6, random_input_len=20, random_output_len=5)


@pytest.fixture(scope="module")
def llm() -> LLM:
    return LLM(num_blocks=200, max_num_seqs=8)


def test_all_requests_are_served_to_their_length(llm: LLM) -> None:
    heard = []
    run = serve(llm, SMALL.requests(), on_step=heard.append)
    metrics = run.metrics()
    assert (metrics["completed"], metrics["failed"]) == (6, 0)
    assert (metrics["total_input_tokens"], metrics["total_output_tokens"]) == (120, 30)
    assert len(heard) == run.num_steps > 0


def test_the_loop_is_closed_by_max_concurrency(llm: LLM) -> None:
    run = serve(llm, SMALL.requests(), max_concurrency=2)
    assert run.metrics()["max_concurrent_requests"] == 2


def test_warmups_are_not_counted(llm: LLM) -> None:
    before = len(llm.trace.requests)
    run = serve(llm, SMALL.requests(), num_warmups=3)
    assert run.metrics()["completed"] == 6
    assert len(llm.trace.requests) - before == 9


def test_times_count_from_now_and_figures_are_of_these_requests_alone(llm: LLM) -> None:
    before = llm.engine.clock.now
    run = serve(llm, SMALL.requests(request_rate=1000.0))
    assert all(request.arrival >= before for request in run.requests)
    metrics = run.metrics()
    assert metrics["completed"] == 6
    assert metrics["duration"] <= (llm.engine.clock.now - before) / 1e9
    assert metrics["mean_ttft_ms"] > 0


def test_a_refused_warmup_is_not_counted_either(llm: LLM) -> None:
    specs = [
        RequestSpec(prompt_len=1_000_000, output_len=2),
        RequestSpec(prompt_len=8, output_len=2),
    ]
    cold, warm = serve(llm, specs), serve(llm, specs, num_warmups=1)
    assert len(warm.requests) == len(cold.requests) == 2
    assert warm.metrics()["failed"] == 1
