"""State: what is known after a step. Made by the fold, read by everybody."""

from __future__ import annotations

import msgspec

from minillm.events import ALL_RUNNING, ALL_WAITING, BATCH, Wait, WaitReason
from minillm.trace.records import Keyframe, SequenceState

_BY_BLOCKS = (WaitReason.NO_KV_BLOCKS, WaitReason.FRAGMENTED, WaitReason.PREEMPTED)
_BY_TOKENS = (
    WaitReason.TOKEN_BUDGET,
    WaitReason.PREFILL_IN_PROGRESS,
    WaitReason.LOWER_PRIORITY,
)


class TraceError(ValueError):
    """A trace that cannot be read, written or believed; the message says where and why."""


class State:
    """Everything known after step `index`. Times are engine-clock ns.

    * `sequences`: by id, in order of arrival at the engine, with those that finished in this
      very step; `waiting` and `running` (admitted, `done` ones too) are its live parts, the
      latter in the same order.
    * `owners`: block → the ids that hold it; `cached`: blocks that can be found by content.
    * `waits`: the waits in force, as recorded.
    * `batch`: rows of the step just applied, `(id, num_tokens, "decode" | "prefill" | "dead")`,
      decodes first; a dead row is a slot that a static batch holds for a finished generation.
    * `load`: `(running, waiting, used blocks)` while that batch ran.
    * `born`: those that were forked off when it had run: this step's decision was not about them.
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
        self.batch: list[tuple[str, int, str]] = []
        self.load: tuple[int, int, int] = (0, 0, 0)
        self.born: set[str] = set()
        self.waiters: frozenset[str] = frozenset()  # those with an entry in `waits`
        self.number: dict[str, int] = {}  # order of arrival at the engine
        self.count = 0
        self.left: list[str] = []  # finished in this step: gone in the next
        self.released: dict[str, int] = {}  # blocks given up after the batch ran
        self.wasted: tuple[str, ...] = ()  # of the batch, those that had ended before

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
            cached=sorted(self.cached),
            waits=self.waits,
        )

    @classmethod
    def from_keyframe(cls, keyframe: Keyframe, num_blocks: int | None = None) -> State:
        """The state after step `keyframe.keyframe`; its `batch` is not known."""
        state = cls(num_blocks)
        state.index, state.start, state.time = keyframe.keyframe, keyframe.time, keyframe.time
        for recorded in keyframe.sequences:
            sequence = _copy(recorded)
            state.enter(sequence)
            if sequence.phase == "waiting":
                state.waiting[sequence.id] = sequence
            elif sequence.phase == "finished":
                state.left.append(sequence.id)
            else:
                state.running[sequence.id] = sequence
            for block in sequence.blocks:
                state.owners.setdefault(block, []).append(sequence.id)
        state.cached = set(keyframe.cached)
        state.set_waits(keyframe.waits)
        return state

    def copy(self) -> State:
        """An independent state, `batch` and all."""
        other = State.from_keyframe(self.keyframe(), self.num_blocks)
        other.start, other.batch, other.load = self.start, list(self.batch), self.load
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
        self.waits = waits
        self.waiters = frozenset([wait.who for wait in waits])


def _copy(sequence: SequenceState) -> SequenceState:
    return msgspec.structs.replace(
        sequence, blocks=list(sequence.blocks), cpu_blocks=list(sequence.cpu_blocks)
    )
