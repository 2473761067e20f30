"""The Memory page: the same requests, three memories."""

from __future__ import annotations

from typing import Any

import pytest
from backstage.held import WAYS, headline, lost, memories, signs
from backstage.memory_chart import memory_chart
from backstage.memory_marks import MOST, marks
from backstage.own import SIZES
from backstage.prefixes import tree
from backstage.rerun import requests_of
from backstage.shown import from_bundle

from minillm import Trace, simulate
from minillm.charts.look import LIGHT
from minillm.recordings import names
from minillm.workload import RequestSpec


@pytest.mark.parametrize("name", names())
def test_all_requests_are_served_in_every_memory_of_the_same_size(name: str) -> None:
    trace = from_bundle(name).trace
    runs = memories(trace, "vllm", 16)
    slots = trace.header.num_blocks * trace.header.block_size
    lengths = [(r.prompt_len, r.output_len) for r in trace.requests]
    assert list(runs) == list(WAYS)
    for run in runs.values():
        assert run.header.num_blocks * run.header.block_size == slots
        assert [(r.prompt_len, r.output_len) for r in run.requests] == lengths
        assert all(r.completed for r in run.requests)


def test_paged_memory_wastes_less_and_smaller_blocks_less_still() -> None:
    trace = from_bundle("three-memories-vllm").trace
    wasted = [lost(memories(trace, "vllm", size)["paged"]) for size in SIZES[::3]]
    assert wasted == sorted(wasted)
    runs = memories(trace, "vllm", 16)
    assert lost(runs["token"]) < lost(runs["paged"]) < lost(runs["contiguous-max"])
    assert "**8** requests at once" in headline(runs)


def test_prompts_that_begin_alike_share_their_beginning() -> None:
    specs = requests_of(from_bundle("shared-prompt-vllm").trace)
    ids = [list(spec.hash_ids or []) for spec in specs]
    shared = {tuple(each[:20]) for each in ids}
    assert len(shared) == 1, "the first 320 tokens"
    assert len({each[-1] for each in ids}) > 1
    trace = from_bundle("long-prompt-vllm").trace
    assert memories(trace, "vllm", 16)["paged"].prefix_cache_hit_rate < 0.1


def crowded(preemption: str) -> Trace:
    """More requests than the pool can hold to their ends."""
    specs = [RequestSpec(arrival_time=0, prompt_len=64, output_len=100) for _ in range(6)]
    return simulate(
        specs,
        model="llama-2-7b",
        hardware="a100-80gb",
        scheduler="vllm",
        num_blocks=30,
        preemption=preemption,
        enable_prefix_caching=False,
        max_model_len=448,
    )


def test_each_time_that_memory_was_taken_back_is_marked() -> None:
    recomputed = crowded("recompute")
    found = marks(recomputed)
    assert {row["kind"] for row in found} == {"preempted"}
    assert 0 < len(found) == sum(request.preemptions for request in recomputed.requests) <= MOST
    swapped = [row["kind"] for row in marks(crowded("swap"))]
    assert set(swapped) == {"swapped_out", "swapped_in"}
    assert swapped.count("swapped_out") == swapped.count("swapped_in")


def test_a_run_that_swapped_is_served_again_with_swap_and_the_chart_says_so() -> None:
    runs = memories(crowded("swap"), "vllm", 16)
    assert {row["kind"] for row in marks(runs["paged"])} == {"swapped_out", "swapped_in"}
    assert signs(runs) == "▼ swapped out · ▲ swapped in"
    spec = str(memory_chart(runs, "en", LIGHT).to_dict())
    assert "▼" in spec
    assert "×" not in spec


def test_the_page_draws_the_session_s_run(page: Any) -> None:
    at = page("memory", scene="three-memories", kv_block="4")
    assert any("paged memory runs" in each.value for each in at.markdown)
    assert len(at.get("vega_lite_chart")) == 1
    assert at.query_params["kv_block"] == "4"


def test_the_tree_shows_who_shares_the_system_prompt() -> None:
    drawn = tree(from_bundle("shared-prompt-vllm").trace, None)
    assert drawn is not None
    (root,) = drawn["roots"]
    assert root["blocks"] == 26
    assert root["owners"] == list("1234567")
    assert sum(len(child["owners"]) for child in root["children"]) == 7
    assert tree(from_bundle("static-orca").trace, None) is None
