"""The managers by name."""

from __future__ import annotations

from minillm.config import ResolvedConfig
from minillm.events import Event
from minillm.kv_cache.buddy import largest_run
from minillm.kv_cache.contiguous import ContiguousKVCache
from minillm.kv_cache.manager import KVCache
from minillm.kv_cache.paged import PagedKVCache
from minillm.kv_cache.token import TokenKVCache

ABOUT_KV_CACHES: dict[str, str] = {
    "paged": "Blocks of a few tokens, anywhere in memory, taken as a sequence grows (vLLM). At "
    "most one block per sequence is partly empty. Blocks can be shared: a prompt's beginning that "
    "another request had too, and the prompt of parallel samples, until one of them writes.",
    "token": "One token at a time, anywhere in memory (LightLLM's TokenAttention): a table from "
    "each request to its tokens. Nothing is held in vain; the table is long.",
    "contiguous": "One run of memory per request, reserved when it is admitted, as before paging. "
    "The reserve is for the longest answer allowed (max), for its true length rounded up to a "
    "power of two (pow2), or exact (oracle). Runs come from a buddy allocator, and holes stay "
    "between.",
}
"""What each manager does, in a paragraph."""


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
