"""A student's block allocator beside books that say who should hold which blocks.

After every call the two must agree on how many blocks are free. Where they do not, the allocator is
asked for blocks until it has none: so it shows which are lost, and which it would give out twice.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from minillm.lesson.block_allocator import BlockAllocator, MakeAllocator
from minillm.lesson.exercise import Wrong

SIZE = 4  # tokens per block


def wrong(key: str, **values: Any) -> Wrong:
    """What lesson 4 says of a mistake."""
    return Wrong(f"lesson_04.BlockAllocator_{key}", **values)


class Books:
    """An allocator under trial, and `held`: the blocks that each request should have. The methods
    call the allocator and raise `Wrong`, with what is said of it, where it does not do its part."""

    def __init__(self, allocator: MakeAllocator, num_blocks: int) -> None:
        self.own: BlockAllocator = allocator(num_blocks, SIZE)
        self.num_blocks = num_blocks
        self.tables: dict[int, list[int]] = {}  # the allocator's, which it may change
        self.held: dict[int, list[int]] = {}
        if self.own.num_free != num_blocks:
            raise wrong("num_free", said=self.own.num_free, free=num_blocks)

    @property
    def free(self) -> set[int]:
        used = {block for blocks in self.held.values() for block in blocks}
        return set(range(self.num_blocks)) - used

    def allocate(self, request: int, tokens: int) -> bool:
        table = self.tables.setdefault(request, [])
        before = self.held.setdefault(request, [])
        needed, free = max(len(before), -(-tokens // SIZE)), len(self.free)
        case = {"request": request, "tokens": tokens, "size": SIZE}
        room = needed - len(before) <= free
        try:
            said = self.own.allocate(table, tokens)
        except Exception as error:
            if room:
                raise
            what = type(error).__name__
            wanted = needed - len(before)
            raise wrong("full_raises", error=what, wanted=wanted, free=free, **case) from error
        if said is None or said is ...:
            raise wrong("nothing", method="allocate")
        if not isinstance(said, bool):
            raise wrong("type", got=type(said).__name__)
        if said and not room:
            raise wrong("overcommits", wanted=needed - len(before), free=free, **case)
        if not said and room:
            raise wrong("refuses", wanted=needed - len(before), free=free, **case)
        if table[: len(before)] != before:
            raise wrong("moved", before=_list(before), after=_list(table), **case)
        if said:
            self._given(request, table, before, needed, case)
        elif len(table) > len(before):
            raise wrong("refused_table", extra=len(table) - len(before), **case)
        self._untouched(request)
        self._audit("refused" if not said else "allocated", request)
        return said

    def _given(
        self, request: int, table: list[int], before: list[int], needed: int, case: dict[str, int]
    ) -> None:
        """The blocks that `request` has been given are as many as they should be, and nobody's."""
        got = len(table)
        more = {"needed": needed, "got": got, **case}
        if got != needed and before:
            raise wrong("grows", held=len(before), room=len(before) * SIZE, **more)
        if got == needed + 1 and case["tokens"] % SIZE == 0:
            raise wrong("exact", **more)
        if got == needed - 1 and case["tokens"] % SIZE:
            raise wrong("rounded_down", token=got * SIZE, **more)
        if got != needed:
            raise wrong("length", **more)
        for place, block in enumerate(table[len(before) :], len(before)):
            if not isinstance(block, int) or not 0 <= block < self.num_blocks:
                raise wrong("unknown", block=str(block), request=request, last=self.num_blocks - 1)
            if block in table[:place]:
                raise wrong("same_twice", block=block, request=request)
            for other, blocks in self.held.items():
                if block in blocks:
                    raise wrong("twice", block=block, request=request, other=other)
        self.held[request] = list(table)

    def share(self, parent: int, child: int, count: int) -> None:
        blocks = self.held[parent][:count]
        given = list(blocks)
        table = self.own.share(given)
        if table is None or table is ...:
            raise wrong("nothing", method="share")
        if not isinstance(table, list):
            raise wrong("share_type", got=type(table).__name__)
        if table != blocks:
            raise wrong("share_copies", blocks=_list(blocks), got=_list(table), child=child)
        if table is given:
            raise wrong("aliased")
        self.tables[child], self.held[child] = table, blocks
        self._audit("allocated", child)

    def release(self, request: int) -> None:
        """`request` ends."""
        blocks = self.held.pop(request)
        self.own.free(self.tables.pop(request))
        self._untouched(request)
        users = Counter(block for table in self.held.values() for block in table)
        if self.own.num_free > len(self.free):
            for block in blocks:
                if users[block]:
                    other = next(who for who, table in self.held.items() if block in table)
                    raise wrong("shared_freed", block=block, request=request, other=other)
        self._audit("freed", request)

    def _untouched(self, request: int) -> None:
        """Nobody else's table has changed."""
        for other, table in self.tables.items():
            if other != request and table != self.held[other]:
                before, after = _list(self.held[other]), _list(table)
                raise wrong("others", request=request, other=other, before=before, after=after)

    def _audit(self, happened: str, request: int) -> None:
        if self.own.num_free != len(self.free):
            self._drain(happened, request)

    def _drain(self, happened: str, request: int) -> None:
        """Raise Wrong unless the blocks that can still be had are those that nobody holds. It takes
        them: this ends the trial."""
        said, free = self.own.num_free, self.free
        got: list[int] = []
        for _ in range(2 * self.num_blocks):
            table: list[int] = []
            try:
                if not self.own.allocate(table, 1):
                    break
            except Exception:  # an empty list, say: it has nothing left
                break
            got += table
        for block, times in Counter(got).items():
            if block not in free:
                raise wrong("still_free", block=block, request=request)
            if times > 1:
                raise wrong("free_twice", block=block, request=request)
        if lost := free - set(got):
            raise wrong(f"lost_{happened}", block=min(lost), request=request)
        if said != len(free):
            raise wrong("num_free", said=said, free=len(free))

    def close(self) -> None:
        """All end, and every block can be had again."""
        last = max(self.held, default=0)
        for request in sorted(self.held):
            self.release(request)
        self._drain("freed", last)


def _list(blocks: list[int]) -> str:
    return ", ".join(map(str, blocks)) or "–"
