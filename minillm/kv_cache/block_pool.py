"""The pool of physical KV blocks: reference counts, free list, and cached content.

Every block is in exactly one of three places:

    owned   reference count ≥ 1: in that many block tables
    cached  reference count 0, content still findable: may be owned again, or evicted
    free    reference count 0, no content

Free blocks are taken first; when there are none, the least recently used cached block is evicted.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence

ContentKey = tuple[int, Hashable]
"""What a full block holds: (id of the content before it, its own tokens). Exact: dictionary
lookup compares the tokens, so two contents are never taken for each other."""

ROOT = 0  # the id of "nothing before": parent of every first block


class BlockPool:
    """`num_blocks` physical blocks. Blocks are plain integers 0 … num_blocks − 1."""

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self.ref_counts = [0] * num_blocks
        self._free: deque[int] = deque(range(num_blocks))
        self._reusable: OrderedDict[int, None] = OrderedDict()  # cached, unowned; oldest first
        self._by_key: dict[ContentKey, tuple[int, int]] = {}  # content → (content id, block)
        self._keys: dict[int, ContentKey] = {}  # block → content, for blocks that are findable
        self._next_content_id = ROOT + 1

    @property
    def num_free(self) -> int:
        """Blocks that can be taken now: free ones and cached ones without owner."""
        return len(self._free) + len(self._reusable)

    def take(self, count: int) -> tuple[list[int], list[int]]:
        """`count` blocks with one owner each, and those of them whose content was evicted."""
        assert count <= self.num_free, f"asked for {count} blocks, {self.num_free} free"
        free, reusable, keys, by_key = self._free, self._reusable, self._keys, self._by_key
        fresh = min(count, len(free))
        taken = [free.popleft() for _ in range(fresh)]
        evicted = [reusable.popitem(last=False)[0] for _ in range(count - fresh)]
        for block in evicted:
            del by_key[keys.pop(block)]
        taken += evicted
        for block in taken:
            self.ref_counts[block] = 1
        return taken, evicted

    def share(self, block: int) -> None:
        """One more owner for a block that is owned or cached."""
        if self.ref_counts[block] == 0:
            del self._reusable[block]
        self.ref_counts[block] += 1

    def release(self, blocks: Sequence[int]) -> None:
        """One owner less for each. The last blocks of a sequence become evictable first, so that
        a cached prefix always outlives what was built on it."""
        for block in reversed(blocks):
            self.ref_counts[block] -= 1
            assert self.ref_counts[block] >= 0, f"block {block} was freed more often than taken"
            if self.ref_counts[block] == 0:
                if block in self._keys:
                    self._reusable[block] = None
                else:
                    self._free.append(block)

    def find(self, key: ContentKey) -> tuple[int, int] | None:
        """(content id, block) that holds this content, or None."""
        return self._by_key.get(key)

    def register(
        self, blocks: Sequence[int], parent: int, contents: Sequence[Hashable]
    ) -> tuple[list[int], list[int]]:
        """Make owned full blocks findable: they hold `contents`, one after the other, and the first
        follows on the content with id `parent`. Returns their content ids, and those of the blocks
        that are newly so: where another block already holds the same, that one stays findable."""
        by_key, keys = self._by_key, self._keys
        ids: list[int] = []
        new: list[int] = []
        for block, content in zip(blocks, contents, strict=True):
            key = (parent, content)
            known = by_key.get(key)
            if known is None:
                parent = self._next_content_id
                self._next_content_id = parent + 1
                by_key[key] = (parent, block)
                keys[block] = key
                new.append(block)
            else:
                parent = known[0]
            ids.append(parent)
        return ids, new

    def forget(self, block: int) -> None:
        """The content of this block is not to be found any more."""
        key = self._keys.pop(block, None)
        if key is not None:
            del self._by_key[key]
            if block in self._reusable:
                del self._reusable[block]
                self._free.append(block)

    def forget_all(self) -> list[int]:
        """Forget the content of every block; returns those that had any."""
        forgotten = sorted(self._keys)
        for block in forgotten:
            self.forget(block)
        return forgotten

    def is_reusable(self, block: int) -> bool:
        """Cached and without owner."""
        return block in self._reusable

    def check(self, tables: Sequence[Sequence[int]]) -> None:
        """Raise AssertionError unless every block is free, cached or owned, and reference counts
        equal the owners in `tables`. For tests and for an idle engine."""
        owners = [0] * self.num_blocks
        for table in tables:
            for block in table:
                owners[block] += 1
        for block, (count, expected) in enumerate(zip(self.ref_counts, owners, strict=True)):
            assert count == expected, f"block {block}: {count} references, {expected} owners"
        idle = [*self._free, *self._reusable]
        assert len(set(idle)) == len(idle), "a block is on the free list twice"
        unowned = {block for block in range(self.num_blocks) if owners[block] == 0}
        lost = sorted(unowned - set(idle))
        assert not lost, f"owned by nobody and not free: blocks {lost}"
        assert unowned == set(idle), f"owned and free at once: {sorted(set(idle) - unowned)}"
        assert all(block in self._keys for block in self._reusable)
        assert all(self._by_key[key][1] == block for block, key in self._keys.items())
