"""PagedAttention's KV cache manager (vLLM, SOSP'23) with automatic prefix caching.

A sequence's tokens live in fixed-size blocks, anywhere in the pool, listed in its block table.
Blocks are taken as the sequence grows, so at most one block per sequence is partly empty.
A full block becomes findable by its content (the tokens in it and before it); a later sequence
that starts with the same tokens shares those blocks instead of computing them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from minillm.events import Alloc, Cached, Event, Evicted, Free
from minillm.kv_cache.block_pool import ROOT, BlockPool
from minillm.request import Request


@dataclass(frozen=True, slots=True)
class PrefixHit:
    """The longest cached prefix of a request: whole blocks, in order, and their content ids."""

    blocks: tuple[int, ...] = ()
    content_ids: tuple[int, ...] = ()


NO_HIT = PrefixHit()


class PagedKVCache:
    """Block tables for all sequences. Every change is appended to `log`, the engine's event log."""

    def __init__(
        self, num_blocks: int, block_size: int, enable_prefix_caching: bool, log: list[Event]
    ) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.enable_prefix_caching = enable_prefix_caching
        self.pool = BlockPool(num_blocks)
        self.log = log
        self._tables: dict[str, list[int]] = {}
        self._contents: dict[str, list[int]] = {}  # content id of each full, registered block

    @property
    def num_free_blocks(self) -> int:
        """Blocks an allocation can use now (free, or cached without owner)."""
        return self.pool.num_free

    def block_table(self, request: Request) -> list[int]:
        """Logical → physical blocks of a request; empty when it holds none."""
        return self._tables.get(request.request_id, [])

    def find_prefix(self, request: Request) -> PrefixHit:
        """The longest cached prefix, leaving at least one token to compute (it must be sampled
        from). Changes nothing."""
        if not self.enable_prefix_caching:
            return NO_HIT
        blocks: list[int] = []
        content_ids: list[int] = []
        parent = ROOT
        for index in range((request.num_tokens - 1) // self.block_size):
            content = self._content(request, index)
            found = None if content is None else self.pool.find((parent, content))
            if found is None:
                break
            parent, block = found
            blocks.append(block)
            content_ids.append(parent)
        return PrefixHit(tuple(blocks), tuple(content_ids)) if blocks else NO_HIT

    def blocks_needed(self, request: Request, num_tokens: int, hit: PrefixHit = NO_HIT) -> int:
        """Blocks that must leave the free pool so that `request` can hold `num_tokens`."""
        held = len(self.block_table(request)) + len(hit.blocks)
        reused = sum(self.pool.is_reusable(block) for block in hit.blocks)
        return max(0, -(-num_tokens // self.block_size) - held) + reused

    def allocate(self, request: Request, num_tokens: int, hit: PrefixHit = NO_HIT) -> bool:
        """Grow the block table to hold `num_tokens`, beginning with the cached blocks of `hit`.
        False, and nothing changed, when too few blocks are free."""
        table = self._tables.get(request.request_id)
        if table is None:
            table = []
        elif len(table) * self.block_size >= num_tokens:
            return True
        if self.blocks_needed(request, num_tokens, hit) > self.pool.num_free:
            return False
        for block in hit.blocks:
            self.pool.share(block)
        missing = -(-num_tokens // self.block_size) - len(table) - len(hit.blocks)
        taken, evicted = self.pool.take(max(0, missing))
        if evicted:
            self.log.append(Evicted(tuple(evicted)))
        table.extend(hit.blocks)
        table.extend(taken)
        self._tables[request.request_id] = table
        if hit.content_ids:
            self._contents[request.request_id] = list(hit.content_ids)
        self.log.append(Alloc(request.request_id, (*hit.blocks, *taken)))
        return True

    def commit(self, request: Request) -> None:
        """Make the blocks that are now full of computed tokens findable by their content."""
        if not self.enable_prefix_caching:
            return
        full = request.num_computed_tokens // self.block_size
        contents = self._contents.setdefault(request.request_id, [])
        if len(contents) >= full:
            return
        table = self._tables[request.request_id]
        new: list[int] = []
        for index in range(len(contents), full):
            content = self._content(request, index)
            if content is None:
                break
            parent = contents[-1] if contents else ROOT
            content_id, added = self.pool.register(table[index], (parent, content))
            contents.append(content_id)
            if added:
                new.append(table[index])
        if new:
            self.log.append(Cached(tuple(new)))

    def free(self, request: Request) -> None:
        """Give up all blocks of `request`. Findable ones stay cached until they are evicted."""
        table = self._tables.pop(request.request_id, None)
        self._contents.pop(request.request_id, None)
        if table is not None:
            self.pool.release(table)
            self.log.append(Free(request.request_id))

    def check(self) -> None:
        """Raise AssertionError unless the pool's books balance with the block tables."""
        self.pool.check(list(self._tables.values()))

    def _content(self, request: Request, index: int) -> Hashable | None:
        """What block `index` holds: its token ids, or a simulated stand-in, or None (unknown)."""
        if request.prompt_token_ids is not None:
            start = index * self.block_size
            return tuple(request.token_ids(start, start + self.block_size))
        if request.content_ids is not None and index < len(request.content_ids):
            return request.content_ids[index]
        return None
