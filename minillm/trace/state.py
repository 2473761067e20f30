"""State: what is known after a step. Made by the fold, read by everybody."""

from __future__ import annotations

import itertools
from typing import TypeVar

import msgspec

from minillm.events import ALL_RUNNING, ALL_WAITING, BATCH, Wait, WaitReason
from minillm.trace.records import Keyframe, SequenceState

_BY_BLOCKS = (WaitReason.NO_KV_BLOCKS, WaitReason.FRAGMENTED, WaitReason.PREEMPTED)
_BY_TOKENS = (
    WaitReason.TOKEN_BUDGET,
    WaitReason.PREFILL_IN_PROGRESS,
    WaitReason.LOWER_PRIORITY,
)

_Value = TypeVar("_Value")
_Prefills = tuple[tuple[str, int], ...]
_Ran = tuple[tuple[str, ...], _Prefills, tuple[str, ...]]


class TraceError(ValueError):
    """A trace that cannot be read, written or believed; the message says where and why."""


class State:
    """Everything known after step `index`. Times are engine-clock ns.

    * `sequences`: by id, in order of arrival at the engine, with those that finished in this
      very step; `waiting` and `running` (admitted, `done` ones too) are its live parts, the
      latter in the same order.
    * `owners`: block → the ids that hold it; `cached`: blocks that can be found by content.
    * `waits`: the waits in force, as recorded.
    * `load`: `(running, waiting, used blocks)` while the batch of the step ran.
    * `born`: those that were forked off when it had run: this step's decision was not about them.

    Most of what a run does is that the same sequences decode once more. So they are not touched:
    `decoding` has those that gain a token in every tick, a batch in which they are not all
    stalled, until something happens to them. Their counters (`computed`, `target`, `outputs`) are
    right up to the tick noted there, until `settle` or `catch_up`; after `apply` all are.
    """

    def __init__(self, num_blocks: int | None = None) -> None:
        self.num_blocks = num_blocks
        self.index = -1
        self.start = 0
        self.time = 0
        self.sequences: dict[str, SequenceState] = {}
        self.waiting: dict[str, SequenceState] = {}
        self.running: dict[str, SequenceState] = {}
        self.owners: dict[int, list[str]] = {}
        self.cached: set[int] = set()
        self.waits: tuple[Wait, ...] = ()
        self.load: tuple[int, int, int] = (0, 0, 0)
        self.born: set[str] = set()
        self.waiters: frozenset[str] = frozenset()  # those with an entry in `waits`
        self.number: dict[str, int] = {}  # order of arrival at the engine
        self.count = 0
        self.left: list[str] = []  # finished in this step: gone in the next
        self.released: dict[str, int] = {}  # blocks given up after the batch ran
        self.wasted: tuple[str, ...] = ()  # of the batch, those that had ended before
        self.ticks = 0
        self.decoding: dict[str, int] = {}  # in order of arrival, as `done` is
        self.tokenless: set[str] = set()  # of those, the ones whose first token is to come
        self.done: dict[str, None] = {}  # a static batch holds their slots
        # What changed with `decide` or `run`, whichever was last:
        self.counted: list[tuple[str, int, int]] = []  # (id, n, m): a token in each tick n..m−1
        self.sampled: list[tuple[str, int]] = []  # (id, tokens) gained otherwise, behind those
        self._ran: _Ran = ((), (), ())  # ids that decode, prefills, ids whose slots are dead
        self._batch: list[tuple[str, int, str]] | None = []

    @property
    def batch(self) -> list[tuple[str, int, str]]:
        """Rows of the step just applied, `(id, num_tokens, "decode" | "prefill" | "dead")`,
        decodes first; a dead row is a slot that a static batch holds for a finished generation."""
        if self._batch is None:
            decodes, prefills, dead = self._ran
            self._batch = [(id, 1, "decode") for id in decodes]
            self._batch += [(id, count, "prefill") for id, count in prefills]
            self._batch += [(id, 0, "dead") for id in dead]
        return self._batch

    @property
    def num_used_blocks(self) -> int:
        """Blocks with an owner; what is cached but owned by nobody is free."""
        return len(self.owners)

    def keyframe(self) -> Keyframe:
        """The state as a record; later steps do not change it."""
        return Keyframe(
            keyframe=self.index,
            time=self.time,
            sequences=[_copy(s) for s in self.sequences.values()],
            cached=sorted(set(self.cached)),  # a new set is nearly sorted; an old one is not
            waits=self.waits,
        )

    @classmethod
    def from_keyframe(cls, keyframe: Keyframe, num_blocks: int | None = None) -> State:
        """The state after step `keyframe.keyframe`; its `batch` is not known."""
        state = cls(num_blocks)
        state.index, state.start, state.time = keyframe.keyframe, keyframe.time, keyframe.time
        state.set_waits(keyframe.waits)
        for recorded in keyframe.sequences:
            sequence = _copy(recorded)
            state.enter(sequence)
            if sequence.phase == "waiting":
                state.waiting[sequence.id] = sequence
            elif sequence.phase == "finished":
                state.left.append(sequence.id)
            else:
                state.running[sequence.id] = sequence
                if sequence.phase == "decode":
                    state.join(sequence)
                elif sequence.phase == "done":
                    state.done[sequence.id] = None
            for block in sequence.blocks:
                state.owners.setdefault(block, []).append(sequence.id)
        state.cached = set(keyframe.cached)
        return state

    def copy(self) -> State:
        """An independent state, `batch` and all."""
        other = State.from_keyframe(self.keyframe(), self.num_blocks)
        other.start, other.load = self.start, self.load
        other.ran(*self._ran)
        other.owners = {block: list(ids) for block, ids in self.owners.items()}
        other.released, other.born = dict(self.released), set(self.born)
        return other

    # What the waits mean. Everything below speaks of the moment of the decision: after the
    # step's `events`, before its `after`.

    def waits_by_sequence(self) -> dict[str, Wait]:
        """For each sequence that waited in this step, its wait with every group spelled out."""
        explicit = {wait.who: wait for wait in self.waits}
        in_batch = {row[0] for row in self.batch}
        for_running, for_waiting = explicit.get(ALL_RUNNING), explicit.get(ALL_WAITING)
        expanded: dict[tuple[str, ...], tuple[str, ...]] = {}
        waits = {}
        for id, sequence in self.sequences.items():
            if id in self.born:
                continue
            wait = explicit.get(id)
            if sequence.phase == "waiting":
                wait = wait or for_waiting
            elif id in self.running and id not in in_batch:
                wait = wait or for_running
            else:
                continue
            if wait is None:
                continue
            if wait.holders not in expanded:
                expanded[wait.holders] = self.expand(wait.holders)
            waits[id] = msgspec.structs.replace(wait, who=id, holders=expanded[wait.holders])
        return waits

    def most_waits(self) -> int:
        """No fewer than `waits_by_sequence` has, counted without looking at each."""
        who = self.waiters
        if not who:
            return 0
        return len(self.waiting) + len(who) + (len(self.running) if ALL_RUNNING in who else 0)

    def expand(self, holders: tuple[str, ...]) -> tuple[str, ...]:
        """Holder ids with `*running` and `*batch` spelled out, each id once."""
        ids: dict[str, None] = {}
        for holder in holders:
            if holder == BATCH:
                ids.update((id, None) for id, _, kind in self.batch if kind != "dead")
            elif holder == ALL_RUNNING:
                ids.update((id, None) for id, _, kind in self.batch if kind != "dead")
                ids.update(
                    (id, None)
                    for id, s in self.running.items()
                    if s.phase != "done" and id not in self.born
                )
            else:
                ids[holder] = None
        return tuple(ids)

    def weigh(self, wait: Wait) -> dict[str, int]:
        """How much of what is missing each holder holds, in the unit of the reason.

        Blocks for NO_KV_BLOCKS and PREEMPTED; this step's tokens for TOKEN_BUDGET,
        PREFILL_IN_PROGRESS and LOWER_PRIORITY; one each for the rest, and where no holder
        holds anything.
        """
        holders = self.expand(wait.holders)
        if wait.reason in _BY_BLOCKS:
            weights = {id: self.held_blocks(id) for id in holders}
        elif wait.reason in _BY_TOKENS:
            tokens = {id: n for id, n, _ in self.batch}
            weights = {id: tokens.get(id, 0) for id in holders}
        else:
            weights = dict.fromkeys(holders, 1)
        return weights if any(weights.values()) else dict.fromkeys(holders, 1)

    def holder_weights(self, id: str) -> dict[str, int]:
        """`weigh` for the wait of sequence `id`; empty when it does not wait."""
        wait = self.waits_by_sequence().get(id)
        return {} if wait is None else self.weigh(wait)

    def held_blocks(self, id: str) -> int:
        """Blocks that `id` held when this step was decided."""
        sequence = self.sequences.get(id)
        return 0 if sequence is None else len(sequence.blocks) + self.released.get(id, 0)

    # For the fold.

    def enter(self, sequence: SequenceState) -> None:
        """A sequence reaches the engine."""
        self.sequences[sequence.id] = sequence
        self.number[sequence.id] = self.count
        self.count += 1

    def set_waits(self, waits: tuple[Wait, ...]) -> None:
        """These waits are in force from now on."""
        before = self.waiters
        self.waits, self.waiters = waits, frozenset([wait.who for wait in waits])
        for id in before ^ self.waiters:
            sequence = self.running.get(id)
            if sequence is not None and sequence.phase == "decode":
                if id in self.waiters:
                    self.leave(id)
                else:
                    self.join(sequence)

    def ran(self, decodes: tuple[str, ...], prefills: _Prefills, dead: tuple[str, ...]) -> None:
        """These were the batch."""
        self._ran, self._batch = (decodes, prefills, dead), None

    def join(self, sequence: SequenceState) -> None:
        """From the next batch on it decodes, unless it waits."""
        if sequence.id not in self.waiters:
            self.decoding[sequence.id] = self.ticks
            in_order(self.decoding, self.number)
            if sequence.first_token_at is None:
                self.tokenless.add(sequence.id)

    def leave(self, id: str) -> None:
        """It decodes no longer, if it did."""
        self.catch_up(id)
        self.decoding.pop(id, None)
        self.tokenless.discard(id)

    def catch_up(self, id: str) -> None:
        """Let the counters of this one be right."""
        since = self.decoding.get(id, self.ticks)
        tokens = self.ticks - since
        if tokens:
            sequence = self.sequences[id]
            sequence.computed += tokens
            sequence.target += tokens
            sequence.outputs += tokens
            self.decoding[id] = self.ticks
            self.counted.append((id, since, self.ticks))

    def settle(self) -> None:
        """Let the counters of all be right."""
        ticks, decoding, sequences = self.ticks, self.decoding, self.sequences
        for id, since in decoding.items():
            tokens = ticks - since
            if tokens:
                sequence = sequences[id]
                sequence.computed += tokens
                sequence.target += tokens
                sequence.outputs += tokens
                decoding[id] = ticks


def in_order(group: dict[str, _Value], number: dict[str, int]) -> None:
    """Put what was entered last into its place in the order of arrival."""
    last, *before = itertools.islice(reversed(group), 2)
    if before and number[before[0]] > number[last]:
        items = sorted(group.items(), key=lambda item: number[item[0]])
        group.clear()
        group.update(items)


def _copy(sequence: SequenceState) -> SequenceState:
    return msgspec.structs.replace(
        sequence, blocks=list(sequence.blocks), cpu_blocks=list(sequence.cpu_blocks)
    )
