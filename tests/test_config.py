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
        ({"max_model_len": 2000}, "above the model's own limit of 1000"),
        ({"kv_cache": "page"}, "unknown kv_cache 'page'"),
        ({"num_block": 3}, "unknown engine argument 'num_block'. Did you mean 'num_blocks'"),
    ],
)
def test_impossible_settings_are_refused_with_the_numbers(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(**settings)
