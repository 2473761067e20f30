"""Who shares which blocks: the prefixes in the KV cache as a tree.

A path from a root down is a beginning of one or more block tables. A node is a run of blocks that
the same requests hold; where they part, it has children. Blocks that nobody holds but that can
still be found hang where they stood in the table they were written for; where the block before
them is gone, they begin a branch of their own, which no lookup reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from minillm.events import Alloc, Copied, Event, Forked, Free, SwappedOut

if TYPE_CHECKING:
    from minillm.trace.state import State
    from minillm.trace.trace import Trace


@dataclass(slots=True)
class Node:
    """A run of blocks. `owners`: who holds them, in order of arrival; nobody where they are only
    `cached`: to be found by content. `tokens`: of which they hold the K and V."""

    blocks: tuple[int, ...]
    owners: tuple[str, ...]
    cached: bool
    tokens: int
    children: list[Node] = field(default_factory=list)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """This node and all below it, with their depths."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


@dataclass(slots=True)
class Sharing:
    """The cache after one step. `saved_blocks`: how many more would be held without sharing."""

    roots: list[Node]
    saved_blocks: int

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Every node with its depth, parents before children."""
        for root in self.roots:
            yield from root.walk()


@dataclass(slots=True)
class _Branch:
    """One block in the tree while it is built."""

    owners: list[str] = field(default_factory=list)
    children: dict[int, _Branch] = field(default_factory=dict)


def sharing(trace: Trace, n: int) -> Sharing:
    """The tree after step `n`. Raises IndexError where there is no such step."""
    state = trace.state_at(n)
    tables = _Tables()
    for sequence in trace.state_at(-1).sequences.values():
        tables.apply([Alloc(sequence.id, tuple(sequence.blocks))])
    for step in trace.steps[: n + 1]:
        tables.apply(step.events)
        tables.apply(step.after)
    root = _Branch()
    for id, sequence in state.sequences.items():
        branch = root
        for block in sequence.blocks:
            branch = branch.children.setdefault(block, _Branch())
            branch.owners.append(id)
    for block in sorted(state.cached):
        if block not in state.owners:
            _insert(root, tables.path(block, state))
    size = trace.header.block_size
    roots = [_node(block, branch, state, size, 0) for block, branch in root.children.items()]
    held = sum(len(ids) for ids in state.owners.values())
    return Sharing(roots, held - len(state.owners))


class _Tables:
    """Which block stood before each one in the table that it was written for."""

    def __init__(self) -> None:
        self._before: dict[int, int | None] = {}
        self._tables: dict[str, list[int]] = {}

    def apply(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case Alloc():
                    table = self._tables.setdefault(event.id, [])
                    for block in event.blocks:
                        self._before[block] = table[-1] if table else None
                        table.append(block)
                case Forked():
                    self._tables[event.child] = list(event.blocks)
                case Copied():
                    table = self._tables[event.id]
                    at = table.index(event.block)
                    table[at] = event.copy
                    self._before[event.copy] = table[at - 1] if at else None
                case Free() | SwappedOut():
                    self._tables.pop(event.id, None)

    def path(self, block: int, state: State) -> list[int]:
        """From the first block of the prefix to `block`, as far as it is still there."""
        path = [block]
        while (before := self._before.get(path[-1])) is not None:
            if before in path or not (before in state.cached or before in state.owners):
                break
            path.append(before)
        return path[::-1]


def _insert(root: _Branch, path: Sequence[int]) -> None:
    for block in path:
        root = root.children.setdefault(block, _Branch())


def _node(block: int, branch: _Branch, state: State, size: int, above: int) -> Node:
    """The run that begins with `block`, below `above` blocks, and what hangs on it."""
    blocks, cached = [block], block in state.cached
    while len(branch.children) == 1:
        ((following, child),) = branch.children.items()
        if child.owners != branch.owners or (following in state.cached) != cached:
            break
        blocks.append(following)
        branch = child
    room = len(blocks) * size
    written = [state.sequences[id].computed - above * size for id in branch.owners]
    below = above + len(blocks)
    return Node(
        tuple(blocks),
        tuple(branch.owners),
        cached,
        max(0, min(room, max(written))) if written else room,
        [_node(each, child, state, size, below) for each, child in branch.children.items()],
    )
