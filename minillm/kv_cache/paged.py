"""PagedAttention's KV cache manager (vLLM, SOSP'23) with automatic prefix caching.

A sequence's tokens live in fixed-size blocks, anywhere in the pool, listed in its block table.
Blocks are taken as the sequence grows, so at most one block per sequence is partly empty.
A full block becomes findable by its content (the tokens in it and before it); a later sequence
that starts with the same tokens shares those blocks instead of computing them. A fork shares all
blocks of its parent; whoever then writes to a block that is still shared writes to a copy (as the
engine forks, the child, at its birth).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from minillm.events import Alloc, Cached, Copied, Event, Evicted, Forked
from minillm.kv_cache.block_pool import ROOT, BlockPool
from minillm.kv_cache.manager import NO_HIT, KVCache, PrefixHit
from minillm.request import MAX_N, Request


class PagedKVCache(KVCache):
    """Blocks of `block_size` tokens from anywhere in the pool, one at a time."""

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        enable_prefix_caching: bool,
        log: list[Event],
        *,
        num_cpu_blocks: int = 0,
    ) -> None:
        super().__init__(num_blocks, block_size, log, num_cpu_blocks=num_cpu_blocks)
        self.enable_prefix_caching = enable_prefix_caching
        self.pool = BlockPool(num_blocks)
        self._contents: dict[str, list[int]] = {}  # content id of each full, registered block
        self._forked: set[int] = set()  # partly full blocks that forks have shared

    @property
    def num_free_blocks(self) -> int:
        """Blocks an allocation can use now (free, or cached without owner)."""
        return self.pool.num_free

    @property
    def has_forks(self) -> bool:
        return bool(self._forked)

    def find_prefix(self, request: Request) -> PrefixHit:
        """The longest cached prefix, leaving at least one token to compute (it must be sampled
        from); for one that was swapped out, what is still there of its own."""
        if not self.enable_prefix_caching:
            return NO_HIT
        known = request.num_tokens - 1
        if self.is_swapped_out(request):
            known = request.num_computed_tokens
        blocks: list[int] = []
        content_ids: list[int] = []
        parent = ROOT
        for content in self._contents_in(request, 0, known // self.block_size):
            found = self.pool.find((parent, content))
            if found is None:
                break
            parent, block = found
            blocks.append(block)
            content_ids.append(parent)
        return PrefixHit(tuple(blocks), tuple(content_ids)) if blocks else NO_HIT

    def blocks_needed(self, request: Request, num_tokens: int, hit: PrefixHit = NO_HIT) -> int:
        table = self._tables.get(request.request_id, ())
        held = len(table) + len(hit.blocks)
        reused = sum(self.pool.is_reusable(block) for block in hit.blocks)
        missing = max(0, -(-num_tokens // self.block_size) - held)
        return missing + reused + (self._shared_tail(request, table) is not None)

    def allocate(self, request: Request, num_tokens: int, hit: PrefixHit = NO_HIT) -> bool:
        name = request.request_id
        table = self._tables.get(name)
        if table is None:
            table = []
        elif len(table) * self.block_size >= num_tokens and not self._forked:
            return True
        missing = max(0, -(-num_tokens // self.block_size) - len(table) - len(hit.blocks))
        needed = missing
        if hit.blocks or self._forked:
            needed = self.blocks_needed(request, num_tokens, hit)
        if needed > self.pool.num_free:
            return False
        shared = self._shared_tail(request, table)
        if shared is not None:
            self._copy_on_write(request, table, shared)
        if table and not missing:
            return True
        for block in hit.blocks:
            self.pool.share(block)
        taken = self._take(missing)
        if not table:
            self._tables[name] = table
            table += hit.blocks
            self._contents[name] = list(hit.content_ids)
        table += taken
        self.log.append(Alloc(name, (*hit.blocks, *taken)))
        if self.swap is not None:
            self._bring_back(request, len(hit.blocks))
        return True

    def fork(self, parent: Request, child: Request) -> bool:
        """The child shares the parent's blocks, the partly full last one too."""
        computed = parent.num_computed_tokens
        shared = self._tables[parent.request_id][: -(-computed // self.block_size)]
        for block in shared:
            self.pool.share(block)
        self._tables[child.request_id] = list(shared)
        self._contents[child.request_id] = list(self._contents_of(parent))
        if computed % self.block_size:
            self._forked.add(shared[-1])
        self.log.append(Forked(parent.request_id, child.request_id, tuple(shared)))
        return True

    def commit(self, request: Request) -> None:
        """Make the blocks that are now full of computed tokens findable by their content."""
        if not self.enable_prefix_caching:
            return
        full = request.num_computed_tokens // self.block_size
        contents = self._contents[request.request_id]
        if len(contents) >= full:
            return
        known = len(contents)
        blocks = self._tables[request.request_id][known:full]
        parent = contents[-1] if contents else ROOT
        what = self._contents_in(request, known, full)
        ids, new = self.pool.register(blocks, parent, what)
        contents += ids
        if new:
            self.log.append(Cached(tuple(new)))

    def forget_contents(self) -> None:
        super().forget_contents()
        if forgotten := self.pool.forget_all():
            self.log.append(Evicted(tuple(forgotten)))

    def check(self) -> None:
        super().check()
        self.pool.check(list(self._tables.values()))

    def _take(self, count: int) -> list[int]:
        taken, evicted = self.pool.take(count)
        if evicted:
            self.log.append(Evicted(tuple(evicted)))
        return taken

    def _release(self, request: Request, table: list[int]) -> None:
        self._contents.pop(request.request_id, None)
        self.pool.release(table)
        if self._forked:
            self._forked = {block for block in self._forked if self.pool.ref_counts[block] > 1}

    def _shared_tail(self, request: Request, table: Sequence[int]) -> int | None:
        """The place in `table` of the block that the next token is written to, if it is shared."""
        if not self._forked:
            return None
        index = request.num_computed_tokens // self.block_size
        if index >= len(table) or table[index] not in self._forked:
            return None
        if self.pool.ref_counts[table[index]] == 1:  # the others are gone, or have their copies
            self._forked.discard(table[index])
            return None
        return index

    def _copy_on_write(self, request: Request, table: list[int], index: int) -> None:
        (mine,) = self._take(1)
        shared = table[index]
        self.pool.release([shared])
        table[index] = mine
        self.moves.copies.append((shared, mine))
        self.log.append(Copied(request.request_id, shared, mine))

    def _contents_of(self, request: Request) -> Sequence[int]:
        return self._contents.get(request.request_id, ())

    def _contents_in(self, request: Request, first: int, end: int) -> Iterable[Hashable]:
        """What its blocks `first` to `end` − 1 hold: their token ids. A simulated request has
        stand-ins for them: what it shares with others is named, and the rest is its own or that of
        its forks; with all before it, nobody else's."""
        size = self.block_size
        if request.prompt_token_ids is not None:
            return (
                tuple(request.token_ids(index * size, (index + 1) * size))
                for index in range(first, end)
            )
        named = (request.content_ids or ())[first:end]
        first += len(named)
        own = -1 - request.number * MAX_N
        of_prompt = max(0, min(end, request.num_prompt_tokens // size) - first)
        return [*named, *[own] * of_prompt, *[own - request.fork] * (end - first - of_prompt)]
