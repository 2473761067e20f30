"""The pool of physical KV blocks: reference counts, free list, and cached content.

Every block is in exactly one of three places:

    owned   reference count ≥ 1: in that many block tables
    cached  reference count 0, content still findable: may be owned again, or evicted
    free    reference count 0, no content

Free blocks are taken first; when there are none, the least recently used cached block is evicted.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Sequence

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
        self._by_key: dict[ContentKey, int] = {}  # content → the block where it is found
        self._keys: list[ContentKey | None] = [None] * num_blocks  # what is found in each block
        self._ids = [ROOT] * num_blocks  # its content id
        self._next_content_id = ROOT + 1

    @property
    def num_free(self) -> int:
        """Blocks that can be taken now: free ones and cached ones without owner."""
        return len(self._free) + len(self._reusable)

    def take(self, count: int) -> tuple[list[int], list[int]]:
        """`count` blocks with one owner each, and those of them whose content was evicted."""
        free, reusable, counts = self._free, self._reusable, self.ref_counts
        assert count <= len(free) + len(reusable), f"asked for {count} blocks, {self.num_free} free"
        fresh = min(count, len(free))
        taken = [free.popleft() for _ in range(fresh)]
        evicted = [reusable.popitem(last=False)[0] for _ in range(count - fresh)]
        if evicted:
            by_key, keys = self._by_key, self._keys
            for block in evicted:
                del by_key[keys[block]]  # type: ignore[arg-type]
                keys[block] = None
            taken += evicted
        for block in taken:
            counts[block] = 1
        return taken, evicted

    def share(self, block: int) -> None:
        """One more owner for a block that is owned or cached."""
        if self.ref_counts[block] == 0:
            del self._reusable[block]
        self.ref_counts[block] += 1

    def release(self, blocks: Sequence[int]) -> None:
        """One owner less for each. The last blocks of a sequence become evictable first, so that
        a cached prefix always outlives what was built on it."""
        counts, keys = self.ref_counts, self._keys
        for block in reversed(blocks):
            counts[block] = owners = counts[block] - 1
            assert owners >= 0, f"block {block} was freed more often than taken"
            if owners == 0:
                if keys[block] is None:
                    self._free.append(block)
                else:
                    self._reusable[block] = None

    def find(self, key: ContentKey) -> tuple[int, int] | None:
        """(content id, block) that holds this content, or None."""
        block = self._by_key.get(key)
        return None if block is None else (self._ids[block], block)

    def register(
        self, blocks: Sequence[int], parent: int, contents: Iterable[Hashable]
    ) -> tuple[list[int], list[int]]:
        """Make owned full blocks findable: they hold `contents`, one after the other, and the first
        follows on the content with id `parent`. Returns their content ids, and those of the blocks
        that are newly so: where another block already holds the same, that one stays findable."""
        by_key, keys, known_ids = self._by_key, self._keys, self._ids
        next_id = self._next_content_id
        ids: list[int] = []
        new: list[int] = []
        for block, content in zip(blocks, contents, strict=True):
            key = (parent, content)
            # Nothing follows yet on content that is new, so what comes after it is new, too.
            known = None if new else by_key.get(key)
            if known is None:
                by_key[key] = block
                keys[block] = key
                known_ids[block] = parent = next_id
                next_id += 1
                new.append(block)
            else:
                parent = known_ids[known]
            ids.append(parent)
        self._next_content_id = next_id
        return ids, new

    def forget(self, block: int) -> None:
        """The content of this block is not to be found any more."""
        key = self._keys[block]
        if key is not None:
            del self._by_key[key]
            self._keys[block] = None
            if block in self._reusable:
                del self._reusable[block]
                self._free.append(block)

    def forget_all(self) -> list[int]:
        """Forget the content of every block; returns those that had any."""
        forgotten = [block for block, key in enumerate(self._keys) if key is not None]
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
        assert all(self._keys[block] is not None for block in self._reusable)
        found = {key: block for block, key in enumerate(self._keys) if key is not None}
        assert found == self._by_key, "what is found by content is not where it is said to be"
