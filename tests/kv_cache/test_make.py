"""The managers by name, and what one sequence can ever be given."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import fake_engine

from minillm import EngineConfig
from minillm.config import KV_CACHES
from minillm.kv_cache import make_kv_cache, most_tokens_per_sequence
from minillm.kv_cache.contiguous import ContiguousKVCache
from minillm.kv_cache.memories import MEMORIES
from minillm.request import RequestRejected, SamplingParams


def resolve(**settings: Any) -> Any:
    return EngineConfig.from_kwargs(**settings).resolve(chunked=True, model_max_len=500)


def test_every_manager_is_explained_and_made_as_asked() -> None:
    assert {memory.settings["kv_cache"] for memory in MEMORIES.values()} == set(KV_CACHES)
    for name in KV_CACHES:
        config = resolve(kv_cache=name, num_blocks=7, preemption="swap", num_cpu_blocks=3)
        kv = make_kv_cache(config, [])
        assert (kv.num_blocks, kv.block_size) == (7, config.block_size)
        assert kv.swap is not None
        assert kv.swap.pool.num_blocks == 3
    kv = make_kv_cache(resolve(kv_cache="contiguous", reserve="pow2"), [])
    assert isinstance(kv, ContiguousKVCache)
    assert kv.reserve == "pow2"
    assert kv.swap is None


@pytest.mark.parametrize(
    ("kv_cache", "num_blocks", "kept_free", "tokens"),
    [
        ("paged", 10, 1, 9 * 16),
        ("token", 100, 1, 99),
        ("contiguous", 13, 0, 8 * 16),
        ("contiguous", 16, 1, 8 * 16),  # the run of sixteen may not be taken whole
        ("contiguous", 17, 1, 16 * 16),
        ("paged", 1, 1, 0),
        ("contiguous", 1, 1, 0),
    ],
)
def test_the_most_that_one_sequence_can_hold(
    kv_cache: str, num_blocks: int, kept_free: int, tokens: int
) -> None:
    config = resolve(kv_cache=kv_cache, num_blocks=num_blocks)
    assert most_tokens_per_sequence(config, kept_free) == tokens


@pytest.mark.parametrize("kv_cache", KV_CACHES)
def test_a_pool_that_is_all_watermark_serves_nobody_and_says_so(kv_cache: str) -> None:
    engine = fake_engine("sarathi", kv_cache=kv_cache, num_blocks=1)
    with pytest.raises(RequestRejected, match=r"= 0 slots \(1 blocks, of which .* leaves 1 free"):
        engine.add_request([1], SamplingParams(max_tokens=1))
