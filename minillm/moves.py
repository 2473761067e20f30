"""What must be copied before a step writes its KV: blocks out to CPU memory, apart, and back in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

Pair = tuple[int, int]
"""(source block, destination block)."""


@dataclass(slots=True)
class BlockMoves:
    """Copies of whole blocks, over all layers. The executor carries them out in this order, before
    the step's KV writes:

        swap_out  (device block, CPU block)     what must make room is saved first
        copies    (device block, device block)  copy-on-write and forks
        swap_in   (CPU block, device block)     what comes back

    `early` says how many of the swapped blocks were moved ahead of need: they overlap with the
    step's compute, while the others are waited for.
    """

    swap_out: list[Pair] = field(default_factory=list)
    copies: list[Pair] = field(default_factory=list)
    swap_in: list[Pair] = field(default_factory=list)
    early: int = 0

    def __bool__(self) -> bool:
        return bool(self.swap_out or self.copies or self.swap_in)

    @property
    def num_swapped(self) -> int:
        """Blocks that cross between device and CPU memory."""
        return len(self.swap_out) + len(self.swap_in)

    def fills(self, blocks: Collection[int]) -> bool:
        """Will data be moved into one of these device blocks?"""
        return any(to in blocks for _, to in self.copies) or any(
            to in blocks for _, to in self.swap_in
        )

    def forget(self, blocks: Collection[int]) -> None:
        """These device blocks were given up again: nothing need be moved into them."""
        self.copies = [pair for pair in self.copies if pair[1] not in blocks]
        self.swap_in = [pair for pair in self.swap_in if pair[1] not in blocks]


NO_MOVES = BlockMoves()
