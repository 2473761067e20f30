"""TokenAttention's KV cache manager (LightLLM): the unit of memory is one token.

No block is ever partly empty, so nothing is held in vain. The price is a table entry per token
in place of one per block, and memory accesses that are not contiguous.
"""

from __future__ import annotations

from minillm.events import Event
from minillm.kv_cache.paged import PagedKVCache


class TokenKVCache(PagedKVCache):
    """A request → token table: the block table of blocks of one token."""

    def __init__(
        self,
        num_blocks: int,
        enable_prefix_caching: bool,
        log: list[Event],
        *,
        num_cpu_blocks: int = 0,
    ) -> None:
        super().__init__(num_blocks, 1, enable_prefix_caching, log, num_cpu_blocks=num_cpu_blocks)
