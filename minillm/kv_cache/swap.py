"""Swap space: KV blocks of preempted sequences, kept in CPU memory until there is room again."""

from __future__ import annotations

from collections.abc import Sequence

from minillm.kv_cache.block_pool import ROOT, BlockPool
from minillm.moves import Pair


class SwapSpace:
    """`num_blocks` blocks of CPU memory. A block whose content is known by its id (see `BlockPool`)
    is kept once, however many sequences hold it, and stays findable until it is evicted."""

    def __init__(self, num_blocks: int) -> None:
        self.pool = BlockPool(num_blocks)
        self._tables: dict[str, list[int]] = {}
        self._leaving: list[int] = []  # read by this step's swap-in: free when it is over

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._tables

    def table(self, request_id: str) -> list[int]:
        """The CPU blocks of a sequence, in the order of its tokens."""
        return self._tables[request_id]

    def put(
        self, request_id: str, blocks: Sequence[int], contents: Sequence[int]
    ) -> list[Pair] | None:
        """Make room for a copy of the device `blocks`, the first of which hold `contents`. Returns
        what must be copied, (device block, CPU block); None, and nothing changed, without room."""
        known = [self.pool.find((ROOT, content)) for content in contents]
        held = [entry[1] for entry in known if entry is not None]
        unowned = len({block for block in held if self.pool.is_reusable(block)})
        if len(blocks) - len(held) + unowned > self.pool.num_free:
            return None
        for block in held:
            self.pool.share(block)
        taken, _ = self.pool.take(len(blocks) - len(held))
        table: list[int] = []
        copies: list[Pair] = []
        for index, block in enumerate(blocks):
            entry = known[index] if index < len(known) else None
            if entry is None:
                mine = taken[len(copies)]
                copies.append((block, mine))
                if index < len(contents):
                    self.pool.register([mine], ROOT, [contents[index]])
            else:
                mine = entry[1]
            table.append(mine)
        self._tables[request_id] = table
        return copies

    def drop(self, request_id: str) -> None:
        """The sequence needs its copy no more. Its blocks are free when the step is over, because
        this step may still read them."""
        self._leaving += self._tables.pop(request_id, ())

    def lost(self, blocks: set[int]) -> set[str]:
        """These CPU blocks were never filled: forget their contents. Returns who holds some."""
        for block in blocks:
            self.pool.forget(block)
        return {name for name, table in self._tables.items() if not blocks.isdisjoint(table)}

    def settle(self) -> None:
        """The step is over."""
        self.pool.release(self._leaving)
        self._leaving = []

    def check(self) -> None:
        """Raise AssertionError unless the books balance."""
        self.pool.check([*self._tables.values(), self._leaving])
