"""Where the KV memory went: each slot of each step, by what it was good for.

A step records who holds which blocks and how many tokens are computed. Whether a held, empty slot
was kept for a token to come or for nothing shows only later: so this is computed from a finished
trace. The kinds are those of the paper on PagedAttention (vLLM, SOSP'23, figure 2):

    token      holds the K and V of a token
    reserved   held and empty; will be written before its block is given up
    internal   held and empty; will not be written before its block is given up
    external   held by nobody and of no use: what the buddy allocator of contiguous memory rounds
               up, and free memory in a step in which somebody waits for memory
    cached     held by nobody, but its content can still be found
    free       held by nobody, and nobody waits for memory

A block shared by several sequences counts once. A trace that stops midway counts as if all memory
were given up where it stops.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from minillm.events import (
    Admitted,
    Alloc,
    Cached,
    Copied,
    Event,
    Evicted,
    Forked,
    Free,
    Preempted,
    SwappedIn,
    SwappedOut,
    WaitReason,
)
from minillm.trace.fold import apply

if TYPE_CHECKING:
    from minillm.trace.state import State
    from minillm.trace.trace import Trace

KINDS = ("token", "reserved", "internal", "external", "cached", "free")
"""The kinds, as they are stacked: from what is used to what is left."""

_FOR_MEMORY = frozenset((WaitReason.NO_KV_BLOCKS, WaitReason.FRAGMENTED, WaitReason.PREEMPTED))


def _column() -> array[int]:
    return array("q")


@dataclass(slots=True)
class Memory:
    """One entry per step: KV slots of each kind when its batch has been computed. They add up to
    `num_slots`, the whole pool. `start` and `end` of the step in ns."""

    num_slots: int
    start: array[int] = field(default_factory=_column)
    end: array[int] = field(default_factory=_column)
    token: array[int] = field(default_factory=_column)
    reserved: array[int] = field(default_factory=_column)
    internal: array[int] = field(default_factory=_column)
    external: array[int] = field(default_factory=_column)
    cached: array[int] = field(default_factory=_column)
    free: array[int] = field(default_factory=_column)
    unshared: array[int] = field(default_factory=_column)
    """Slots that would be held if nobody shared a block."""

    def shares(self, begin: float = 0.0, end: float = math.inf) -> dict[str, float]:
        """Mean of each kind, % of the pool, over the steps that start in [begin, end) engine
        seconds, weighted by their durations. NaN when there are none."""
        return self.shares_of_steps(*self._between(begin, end))

    def shares_of_steps(self, first: int, stop: int) -> dict[str, float]:
        """The same over the steps from `first` to `stop`, exclusive."""
        return {
            kind: 100 * self._mean(getattr(self, kind), first, stop) / self.num_slots
            for kind in KINDS
        }

    def saved_by_sharing(self, begin: float = 0.0, end: float = math.inf) -> float:
        """Memory that shared blocks save, % of what would be held without sharing; over the same
        steps as `shares`. NaN when nothing is held."""
        first, stop = self._between(begin, end)
        columns = (self.token, self.reserved, self.internal)
        held = sum(self._mean(column, first, stop) for column in columns)
        unshared = self._mean(self.unshared, first, stop)
        return 100 * (1 - held / unshared) if unshared else math.nan

    def _between(self, begin: float, end: float) -> tuple[int, int]:
        """The steps that start in [begin, end) engine seconds."""
        return bisect_left(self.start, begin * 1e9), bisect_left(self.start, end * 1e9)

    def _mean(self, slots: Sequence[int], first: int, stop: int) -> float:
        total = weight = 0
        for n in range(first, stop):
            duration = self.end[n] - self.start[n]
            total += duration * slots[n]
            weight += duration
        return total / weight if weight else math.nan


def memory(trace: Trace) -> Memory:
    """The memory of every step of `trace`; one pass over its steps."""
    header = trace.header
    size, num_slots = header.block_size, header.num_blocks * header.block_size
    contiguous = header.kv_cache == "contiguous"
    state, blocks = trace.state_at(-1), _Blocks(header.num_blocks, size)
    blocks.begin(state)
    result = Memory(num_slots)
    held = _column()
    for step in list(trace.steps):
        blocks.apply(step.events)
        apply(state, step)
        sequences = state.sequences
        for id, _, kind in state.batch:
            if kind != "dead":
                blocks.write(id, sequences[id].computed)
        rest = num_slots - (blocks.num_held + blocks.num_cached) * size
        lost = blocks.rounded_up() * size if contiguous else 0
        if rest and any(wait.reason in _FOR_MEMORY for wait in state.waits):
            lost = rest
        result.start.append(step.start)
        result.end.append(step.start + step.duration)
        result.token.append(blocks.num_tokens)
        result.external.append(lost)
        result.cached.append(blocks.num_cached * size)
        result.free.append(rest - lost)
        result.unshared.append(blocks.num_unshared * size)
        held.append(blocks.num_held * size)
        blocks.now += 1
        blocks.apply(step.after)
    result.internal.extend(blocks.never_written())
    result.reserved.extend(
        all_of - token - never
        for all_of, token, never in zip(held, result.token, result.internal, strict=True)
    )
    return result


class _Blocks:
    """How many slots of each block are written, and who holds it, as the events tell."""

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.now = 0  # the step that sees the next change
        self.num_tokens = 0  # written slots of the blocks that are held
        self.num_held = 0
        self.num_unshared = 0  # Σ length of the block tables
        self.num_cached = 0  # findable and held by nobody
        self._size = block_size
        self._written = [0] * num_blocks  # slots
        self._holders = [0] * num_blocks
        self._since = [0] * num_blocks  # the step from which on it is held
        self._findable: set[int] = set()
        self._tables: dict[str, list[int]] = {}
        self._computed: dict[str, int] = {}  # tokens of each sequence
        self._swapped: set[str] = set()
        self._rounded: dict[str, int] = {}  # see `rounded_up`
        self._never: dict[int, int] = {}  # step → change of the slots that are never written

    def begin(self, state: State) -> None:
        """Take over what is held and cached before step 0."""
        self._findable = set(state.cached)
        self.num_cached = len(state.cached)
        for block in state.cached:
            self._written[block] = self._size
        for sequence in state.sequences.values():
            self._computed[sequence.id] = sequence.computed
            if sequence.cpu_blocks:
                self._swapped.add(sequence.id)
            if sequence.blocks:
                self._alloc(Alloc(sequence.id, tuple(sequence.blocks)))

    def apply(self, events: Iterable[Event]) -> None:
        for event in events:
            change = _CHANGES.get(type(event))
            if change is not None:
                change(self, event)

    def write(self, id: str, computed: int) -> None:
        """The first `computed` tokens of sequence `id` are in its blocks now."""
        self._computed[id] = computed
        table, size, written = self._tables.get(id), self._size, self._written
        if not table or not computed:
            return
        index = min((computed - 1) // size, len(table) - 1)
        full = min(computed - index * size, size)
        # Backwards to a block that is full already: all before it are.
        while index >= 0 and written[table[index]] < full:
            self.num_tokens += full - written[table[index]]
            written[table[index]] = full
            index, full = index - 1, size

    def rounded_up(self) -> int:
        """Blocks that a buddy allocator adds to runs to make their lengths powers of two."""
        return sum(self._rounded.values())

    def never_written(self) -> list[int]:
        """Per step, the slots held that nobody wrote while they were held."""
        for block, holders in enumerate(self._holders):
            if holders:
                self._count_never(block)
        return list(accumulate(self._never.get(step, 0) for step in range(self.now)))

    def _count_never(self, block: int) -> None:
        empty = self._size - self._written[block]
        if empty:
            since = self._since[block]
            self._never[since] = self._never.get(since, 0) + empty
            self._never[self.now] = self._never.get(self.now, 0) - empty

    def _take(self, block: int) -> None:
        """One more sequence holds `block`."""
        self._holders[block] += 1
        if self._holders[block] > 1:
            return
        if block in self._findable:
            self.num_cached -= 1
        else:
            self._written[block] = 0
        self._since[block] = self.now
        self.num_held += 1
        self.num_tokens += self._written[block]

    def _give_up(self, block: int) -> None:
        self._holders[block] -= 1
        if self._holders[block]:
            return
        self._count_never(block)
        self.num_held -= 1
        self.num_tokens -= self._written[block]
        self.num_cached += block in self._findable

    # ---- the events ---------------------------------------------------------------------------

    def _admitted(self, event: Admitted) -> None:
        if event.id not in self._swapped:
            self._computed[event.id] = event.cached_tokens

    def _alloc(self, event: Alloc) -> None:
        for block in event.blocks:
            self._take(block)
        table = self._tables.setdefault(event.id, [])
        table.extend(event.blocks)
        self.num_unshared += len(event.blocks)
        self._rounded[event.id] = (1 << (len(table) - 1).bit_length()) - len(table) if table else 0
        # What was swapped out, or copied for a fork, is brought to the new blocks.
        self.write(event.id, self._computed.get(event.id, 0))

    def _free(self, event: Free | SwappedOut) -> None:
        table = self._tables.pop(event.id, ())
        self.num_unshared -= len(table)
        self._rounded.pop(event.id, None)
        for block in table:
            self._give_up(block)
        if isinstance(event, SwappedOut):
            self._swapped.add(event.id)
        else:
            self._swapped.discard(event.id)
            self._computed.pop(event.id, None)

    def _swapped_in(self, event: SwappedIn) -> None:
        self._swapped.discard(event.id)

    def _preempted(self, event: Preempted) -> None:
        if event.id not in self._swapped:
            self._computed.pop(event.id, None)

    def _forked(self, event: Forked) -> None:
        for block in event.blocks:
            self._take(block)
        self._tables[event.child] = list(event.blocks)
        self._computed[event.child] = self._computed[event.id]
        self.num_unshared += len(event.blocks)

    def _copied(self, event: Copied) -> None:
        table = self._tables[event.id]
        table[table.index(event.block)] = event.copy
        self._take(event.copy)
        self._written[event.copy] = self._written[event.block]
        self.num_tokens += self._written[event.copy]
        self._give_up(event.block)

    def _cached(self, event: Cached) -> None:
        for block in event.blocks:
            if block not in self._findable:
                self._findable.add(block)
                self.num_cached += not self._holders[block]

    def _evicted(self, event: Evicted) -> None:
        for block in event.blocks:
            if block in self._findable:
                self._findable.discard(block)
                self.num_cached -= not self._holders[block]


_CHANGES = {
    Admitted: _Blocks._admitted,
    Alloc: _Blocks._alloc,
    Free: _Blocks._free,
    SwappedOut: _Blocks._free,
    SwappedIn: _Blocks._swapped_in,
    Preempted: _Blocks._preempted,
    Forked: _Blocks._forked,
    Copied: _Blocks._copied,
    Cached: _Blocks._cached,
    Evicted: _Blocks._evicted,
}
