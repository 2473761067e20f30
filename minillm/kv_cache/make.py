"""The manager that a configuration asks for, and what it can hold."""

from __future__ import annotations

from minillm.config import ResolvedConfig
from minillm.events import Event
from minillm.kv_cache.buddy import largest_run
from minillm.kv_cache.contiguous import ContiguousKVCache
from minillm.kv_cache.manager import KVCache
from minillm.kv_cache.paged import PagedKVCache
from minillm.kv_cache.token import TokenKVCache


def make_kv_cache(config: ResolvedConfig, log: list[Event]) -> KVCache:
    """The manager that `config` asks for; its changes are appended to `log`."""
    swap = {"num_cpu_blocks": config.num_cpu_blocks}
    if config.kv_cache == "contiguous":
        return ContiguousKVCache(
            config.num_blocks, config.block_size, log, reserve=config.reserve, **swap
        )
    caching = config.enable_prefix_caching
    if config.kv_cache == "token":
        return TokenKVCache(config.num_blocks, caching, log, **swap)
    return PagedKVCache(config.num_blocks, config.block_size, caching, log, **swap)


def most_tokens_per_sequence(config: ResolvedConfig, blocks_kept_free: int) -> int:
    """KV slots that one sequence can ever have when `blocks_kept_free` are left to others."""
    usable = max(0, config.num_blocks - blocks_kept_free)
    if usable and config.kv_cache == "contiguous":
        usable = largest_run(usable)
    return usable * config.block_size
