"""EngineConfig is checked once, at the door."""

from __future__ import annotations

from typing import Any

import pytest

from minillm import ConfigError, EngineConfig


def resolve(chunked: bool = True, model_max_len: int = 1000, fit: int | None = None, **kw: Any):
    return EngineConfig.from_kwargs(**kw).resolve(
        chunked=chunked, model_max_len=model_max_len, blocks_that_fit=fit
    )


def test_defaults() -> None:
    config = resolve()
    assert config.block_size == 16
    assert config.max_num_batched_tokens == 512
    assert config.max_num_seqs == 128
    assert config.max_model_len == 1000
    assert config.enable_prefix_caching
    assert config.num_blocks == 128 * 63  # 1000 tokens need 63 blocks
    assert (config.kv_cache, config.reserve) == ("paged", "")
    assert (config.preemption, config.num_cpu_blocks) == ("recompute", 0)


def test_defaults_of_the_other_memories() -> None:
    token = resolve(kv_cache="token")
    assert (token.block_size, token.enable_prefix_caching) == (1, False)
    assert token.num_blocks == 128 * 1000
    assert resolve(kv_cache="token", enable_prefix_caching=True).enable_prefix_caching
    assert resolve(kv_cache="token", block_size=1).block_size == 1
    runs = resolve(kv_cache="contiguous")
    assert (runs.block_size, runs.reserve, runs.enable_prefix_caching) == (16, "max", False)
    assert resolve(kv_cache="contiguous", reserve="pow2").reserve == "pow2"
    assert resolve(kv_cache="contiguous", enable_prefix_caching=False).num_blocks == 128 * 63


def test_cpu_memory_is_as_large_as_the_pool_unless_said_otherwise() -> None:
    assert resolve(preemption="swap", num_blocks=70).num_cpu_blocks == 70
    assert resolve(preemption="swap", fit=40).num_cpu_blocks == 40
    assert resolve(preemption="swap", num_cpu_blocks=9).num_cpu_blocks == 9


def test_a_policy_that_never_preempts_has_no_memory_to_swap_to() -> None:
    config = EngineConfig(preemption="swap", num_blocks=70)
    assert config.resolve(chunked=True, model_max_len=64, preempts=False).num_cpu_blocks == 0
    asked = EngineConfig(preemption="swap", num_cpu_blocks=9)
    with pytest.raises(ConfigError, match="num_cpu_blocks 9 is memory to swap to, and this sched"):
        asked.resolve(chunked=True, model_max_len=64, preempts=False)


def test_a_whole_prompt_scheduler_gets_a_budget_for_whole_prompts() -> None:
    assert resolve(chunked=False).max_num_batched_tokens == 2048
    assert resolve(chunked=False, model_max_len=5000).max_num_batched_tokens == 5000


def test_the_pool_is_what_memory_allows_or_what_can_be_used() -> None:
    assert resolve(fit=100).num_blocks == 100
    assert resolve(fit=10**9, max_num_seqs=2).num_blocks == 126


def test_fewer_sequences_for_a_small_budget() -> None:
    assert resolve(max_num_batched_tokens=8).max_num_seqs == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_num_seqs": 9, "max_num_batched_tokens": 8}, "above max_num_batched_tokens 8"),
        ({"num_blocks": 0}, "num_blocks must be at least 1, got 0"),
        ({"block_size": -1}, "block_size must be at least 1"),
        ({"block_size": 1.5}, "block_size must be a whole number, got 1.5"),
        ({"max_num_seqs": True}, "whole number"),
        ({"max_model_len": 2000}, "above the model's own limit of 1,000"),
        ({"kv_cache": "page"}, "unknown kv_cache 'page'"),
        ({"kv_cache": "pagd"}, "Did you mean 'paged'"),
        ({"kv_cache": None}, "unknown kv_cache None. Known: paged, token, contiguous"),
        ({"preemption": "swop"}, "unknown preemption 'swop'. Did you mean 'swap'"),
        ({"preemption": False}, "unknown preemption False"),
        (
            {"kv_cache": "contiguous", "reserve": "min"},
            "unknown reserve 'min'.*Known: max, pow2, oracle",
        ),
        (
            {"kv_cache": "token", "block_size": 16},
            "kv_cache='token' has blocks of one token; block_size 16 is for 'paged'",
        ),
        (
            {"kv_cache": "contiguous", "enable_prefix_caching": True},
            "'contiguous' cannot share blocks .* enable_prefix_caching=True is impossible",
        ),
        ({"reserve": "max"}, "reserve='max' is for kv_cache='contiguous'; 'paged' takes memory"),
        ({"kv_cache": "token", "reserve": "pow2"}, "is for kv_cache='contiguous'; 'token' takes"),
        ({"num_cpu_blocks": 10}, "num_cpu_blocks is memory to swap to: it needs preemption='swap'"),
        (
            {"num_cpu_blocks": 10, "preemption": "recompute"},
            "num_cpu_blocks is memory to swap to",
        ),
        ({"num_cpu_blocks": 0, "preemption": "swap"}, "num_cpu_blocks must be at least 1, got 0"),
        ({"num_cpu_blocks": 1.5, "preemption": "swap"}, "num_cpu_blocks must be a whole number"),
        ({"num_block": 3}, "unknown engine argument 'num_block'. Did you mean 'num_blocks'"),
    ],
)
def test_impossible_settings_are_refused_with_the_numbers(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(**settings)
