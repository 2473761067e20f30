"""What every KV cache manager offers: block tables, and the copies that go with them.

All managers address one tensor `[num_blocks, block_size, …]` through a block table per sequence:
token i lives in block `table[i // block_size]` at slot `i % block_size`. They differ in which
blocks they give: anywhere (paged), anywhere and of one token each (token), in one run (contiguous).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minillm.events import Alloc, Event, Free, SwappedIn, SwappedOut
from minillm.kv_cache.swap import SwapSpace
from minillm.moves import NO_MOVES, BlockMoves
from minillm.request import Request


@dataclass(frozen=True, slots=True)
class PrefixHit:
    """The longest cached prefix of a request: whole blocks, in order, and their content ids."""

    blocks: tuple[int, ...] = ()
    content_ids: tuple[int, ...] = ()


NO_HIT = PrefixHit()


class KVCache:
    """The base of the managers. Every change is appended to `log`, the engine's event log. With
    `num_cpu_blocks` a preempted sequence may be swapped out instead of computed again."""

    def __init__(
        self, num_blocks: int, block_size: int, log: list[Event], *, num_cpu_blocks: int = 0
    ) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.log = log
        self.swap = SwapSpace(num_cpu_blocks) if num_cpu_blocks else None
        self.moves = BlockMoves()  # what the next step must copy first
        self._tables: dict[str, list[int]] = {}

    # ---- what is there -----------------------------------------------------------------------

    @property
    def num_free_blocks(self) -> int:
        """Blocks that nobody owns."""
        raise NotImplementedError

    @property
    def num_used_blocks(self) -> int:
        """Blocks in somebody's table."""
        return self.num_blocks - self.num_free_blocks

    @property
    def largest_run(self) -> int:
        """The most blocks that one sequence can be given now."""
        return self.num_free_blocks

    @property
    def has_forks(self) -> bool:
        """May a sequence have to copy the block that it writes to next?"""
        return False

    def block_table(self, request: Request) -> list[int]:
        """Logical → physical blocks of a request; empty when it holds none."""
        return self._tables.get(request.request_id, [])

    def find_prefix(self, request: Request) -> PrefixHit:
        """The blocks that already hold the beginning of `request`. Changes nothing."""
        return NO_HIT

    # ---- growing -----------------------------------------------------------------------------

    def blocks_needed(self, request: Request, num_tokens: int, hit: PrefixHit = NO_HIT) -> int:
        """Blocks that must leave the free pool so that `request` can hold `num_tokens`."""
        raise NotImplementedError

    def allocate(self, request: Request, num_tokens: int, hit: PrefixHit = NO_HIT) -> bool:
        """Let `request` hold `num_tokens`, beginning with the blocks of `hit`; what was swapped out
        comes back. False, and nothing changed, when there is no room."""
        raise NotImplementedError

    def fork(self, parent: Request, child: Request) -> bool:
        """Give `child` what `parent` has computed. False, and nothing changed, without room."""
        raise NotImplementedError

    def commit(self, request: Request) -> None:
        """The tokens of `request` up to num_computed_tokens have been computed."""

    # ---- giving up ---------------------------------------------------------------------------

    def free(self, request: Request) -> None:
        """Give up all blocks of `request`, in device and CPU memory."""
        name = request.request_id
        table = self._tables.pop(name, None)
        swapped = self.swap is not None and name in self.swap
        if table is not None:
            if self.moves:
                self.moves.forget(set(table))
            self._release(request, table)
        if self.swap is not None and swapped:
            self.swap.drop(name)
        if swapped or table is not None:
            self.log.append(Free(name))

    def swap_out(self, request: Request) -> bool:
        """Save what `request` has computed in CPU memory and give up its blocks. False, and nothing
        changed, when there is no swap space, no room in it, or nothing to save yet."""
        name = request.request_id
        table = self._tables.get(name)
        if self.swap is None or table is None or not request.num_computed_tokens:
            return False
        blocks = table[: -(-request.num_computed_tokens // self.block_size)]
        if self.moves and self.moves.fills(set(blocks)):
            return False  # its data is still on the way in
        copies = self.swap.put(name, blocks, self._contents_of(request))
        if copies is None:
            return False
        self.moves.swap_out += copies
        self.log.append(SwappedOut(name, tuple(copies), tuple(self.swap.table(name))))
        del self._tables[name]
        self._release(request, table)
        return True

    def _bring_back(self, request: Request, first: int) -> None:
        """After `allocate`: copy the blocks from `first` on back, if `request` was swapped out."""
        name = request.request_id
        if self.swap is None or name not in self.swap:
            return
        back = tuple(zip(self.swap.table(name), self._tables[name], strict=False))[first:]
        self.moves.swap_in += back
        self.log.append(SwappedIn(name, back))
        self.swap.drop(name)

    def is_swapped_out(self, request: Request) -> bool:
        return self.swap is not None and request.request_id in self.swap

    def take_moves(self) -> BlockMoves:
        """The copies that the step now to be executed begins with."""
        if self.swap is not None:
            self.swap.settle()
        if not self.moves:
            return NO_MOVES
        moves, self.moves = self.moves, BlockMoves()
        return moves

    def forget_contents(self) -> None:
        """No block can be found by its content any more: what they hold is not to be trusted."""
        if self.swap is not None:
            self.swap.pool.forget_all()

    def lost(self, moves: BlockMoves) -> set[str]:
        """The sequences whose tokens are incomplete if `moves` were not carried out."""
        filled = {to for _, to in (*moves.copies, *moves.swap_in)}
        lost = {name for name, table in self._tables.items() if not filled.isdisjoint(table)}
        if self.swap is not None and moves.swap_out:
            lost |= self.swap.lost({to for _, to in moves.swap_out})
        return lost

    def check(self) -> None:
        """Raise AssertionError unless the books balance with the block tables."""
        if self.swap is not None:
            self.swap.check()

    # ---- for the managers --------------------------------------------------------------------

    def _contents_of(self, request: Request) -> Sequence[int]:
        """Content ids of the first blocks of `request`, where they are known."""
        return ()

    def _release(self, request: Request, table: list[int]) -> None:
        """`request` gives up the blocks of `table`."""
        raise NotImplementedError

    def _took(self, request: Request, blocks: Sequence[int]) -> None:
        """Record that `blocks` were appended to the table of `request`."""
        self.log.append(Alloc(request.request_id, tuple(blocks)))
