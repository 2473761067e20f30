"""The fold: from records to state.

`apply(state, step)` advances a `State` by one step, in place, at a cost that follows what changed
plus the batch; `State.copy()` keeps a moment. Records that contradict each other raise
`TraceError`, which names the contradiction: a run that folds is a run that could have happened.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from minillm.events import (
    ALL_RUNNING,
    ALL_WAITING,
    BATCH,
    Added,
    Admitted,
    Alloc,
    Cached,
    Done,
    Event,
    Evicted,
    Finished,
    Free,
    Preempted,
    Step,
    Wait,
    WaitReason,
)
from minillm.trace.records import Closing, Keyframe, SequenceState

_BY_BLOCKS = (WaitReason.NO_KV_BLOCKS, WaitReason.PREEMPTED)
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
        self._who: frozenset[str] = frozenset()  # those with an entry in `waits`
        self._number: dict[str, int] = {}  # order of arrival at the engine
        self._count = 0
        self._left: list[str] = []  # finished in this step: gone in the next
        self._released: dict[str, int] = {}  # blocks given up after the batch ran

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
            state._enter(sequence)
            if sequence.phase == "waiting":
                state.waiting[sequence.id] = sequence
            elif sequence.phase == "finished":
                state._left.append(sequence.id)
            else:
                state.running[sequence.id] = sequence
            for block in sequence.blocks:
                state.owners.setdefault(block, []).append(sequence.id)
        state.cached = set(keyframe.cached)
        state._set_waits(keyframe.waits)
        return state

    def copy(self) -> State:
        """An independent state, `batch` and all."""
        other = State.from_keyframe(self.keyframe(), self.num_blocks)
        other.start, other.batch, other.load = self.start, list(self.batch), self.load
        other.owners = {block: list(ids) for block, ids in self.owners.items()}
        other._released = dict(self._released)
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

    def expand(self, holders: tuple[str, ...]) -> tuple[str, ...]:
        """Holder ids with `*running` and `*batch` spelled out, each id once."""
        ids: dict[str, None] = {}
        for holder in holders:
            if holder == BATCH:
                ids.update((id, None) for id, _, kind in self.batch if kind != "dead")
            elif holder == ALL_RUNNING:
                ids.update((id, None) for id, _, kind in self.batch if kind != "dead")
                ids.update((id, None) for id, s in self.running.items() if s.phase != "done")
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
        return 0 if sequence is None else len(sequence.blocks) + self._released.get(id, 0)

    # Changing it.

    def _enter(self, sequence: SequenceState) -> None:
        self.sequences[sequence.id] = sequence
        self._number[sequence.id] = self._count
        self._count += 1

    def _set_waits(self, waits: tuple[Wait, ...]) -> None:
        self.waits = waits
        self._who = frozenset([wait.who for wait in waits])

    def apply_events(self, events: Iterable[Event], time: int) -> None:
        """Apply events that happened at `time`; kinds that have no effect here are skipped."""
        for event in events:
            change = _CHANGES.get(type(event))
            if change is not None:
                change(self, event, time)

    def close(self, closing: Closing) -> None:
        """Apply what happened after the last step."""
        if closing.time < self.time:
            raise TraceError(
                f"the run is closed at {closing.time} ns, before its last step ended "
                f"({self.time} ns)"
            )
        self.apply_events(closing.events, closing.time)
        self.time = closing.time


def apply(state: State, step: Step) -> State:
    """Advance `state` by `step`, in place; returns it. Raises TraceError on a contradiction."""
    try:
        _apply(state, step)
    except TraceError as error:
        raise TraceError(f"step {step.index}: {error}") from None
    return state


def _apply(state: State, step: Step) -> None:
    if step.index != state.index + 1:
        raise TraceError(f"follows step {state.index}; steps must be numbered without a gap")
    if step.start < state.time:
        raise TraceError(
            f"starts at {step.start} ns, before the step in front of it ended ({state.time} ns)"
        )
    if step.duration < 0:
        raise TraceError(f"lasts {step.duration} ns; time never runs backwards")
    for id in state._left:
        del state._number[id]
        if state.sequences.pop(id).blocks:
            raise TraceError(f"sequence {id} left the engine with blocks that it never freed")
    state._left, state._released = [], {}
    state.index, state.start = step.index, step.start
    state.apply_events(step.events, step.start)
    if step.waits is not None:
        state._set_waits(step.waits)

    end = step.start + step.duration
    state.time = end
    state.load = (len(state.running), len(state.waiting), len(state.owners))
    _run_batch(state, step, end)
    for id, piece in step.text.items():
        _known(state, id).text += piece
    for event in step.after:
        if type(event) is Free and event.id in state.sequences:
            state._released[event.id] = len(state.sequences[event.id].blocks)
    state.apply_events(step.after, end)


def _run_batch(state: State, step: Step, end: int) -> None:
    running, tokens, who = state.running, step.tokens, state._who
    batch: list[tuple[str, int, str]] = []
    dead: list[tuple[str, int, str]] = []
    stalled = ALL_RUNNING in who
    for id, sequence in running.items():
        if sequence.phase == "decode" and not stalled and id not in who:
            batch.append((id, 1, "decode"))
            sequence.computed += 1
            _sample(sequence, len(tokens[id]) if id in tokens else 1, end)
        elif sequence.phase == "done":
            dead.append((id, 0, "dead"))
    for id, count in step.prefills:
        sequence = _known(state, id)
        if sequence.phase != "prefill":
            raise TraceError(f"prefill of sequence {id}, which is in phase {sequence.phase}")
        left = sequence.target - sequence.computed
        if not 0 < count <= left:
            raise TraceError(f"prefill of {count} tokens of sequence {id}, which needs {left}")
        batch.append((id, count, "prefill"))
        sequence.computed += count
        if count == left:
            sequence.phase = "decode"
            _sample(sequence, len(tokens[id]) if id in tokens else 1, end)
    batch += dead
    state.batch = batch


def _sample(sequence: SequenceState, gained: int, end: int) -> None:
    """All tokens are computed: gain output tokens, the last of which is not computed yet."""
    sequence.outputs += gained
    sequence.target += gained
    if gained > 1:
        sequence.computed += gained - 1
    if gained and sequence.first_token_at is None:
        sequence.first_token_at = end


def _known(state: State, id: str) -> SequenceState:
    try:
        return state.sequences[id]
    except KeyError:
        raise TraceError(f"speaks of sequence {id!r}, which is not in the engine") from None


def _copy(sequence: SequenceState) -> SequenceState:
    return msgspec.structs.replace(sequence, blocks=list(sequence.blocks))


def _added(state: State, event: Added, time: int) -> None:
    if event.id in state.sequences:
        raise TraceError(f"sequence {event.id} is added a second time")
    if event.arrival > time:
        raise TraceError(f"sequence {event.id} is added before it arrives, at {event.arrival} ns")
    if event.prompt_len < 1:
        raise TraceError(f"sequence {event.id} has a prompt of {event.prompt_len} tokens")
    sequence = SequenceState(
        id=event.id,
        phase="waiting",
        arrival=event.arrival,
        prompt_len=event.prompt_len,
        max_tokens=event.max_tokens,
        client=event.client,
        priority=event.priority,
        prompt=event.text,
        target=event.prompt_len,
    )
    state._enter(sequence)
    state.waiting[event.id] = sequence


def _admitted(state: State, event: Admitted, time: int) -> None:
    sequence = _known(state, event.id)
    if sequence.phase != "waiting":
        raise TraceError(f"sequence {event.id} is admitted in phase {sequence.phase}")
    if not 0 <= event.cached_tokens < sequence.target:
        raise TraceError(
            f"sequence {event.id} finds {event.cached_tokens} of its {sequence.target} tokens "
            "cached; at least one must be computed"
        )
    sequence.phase = "prefill"
    sequence.computed = sequence.cached_tokens = event.cached_tokens
    if sequence.admitted_at is None:
        sequence.admitted_at = time
    number = state._number
    in_order = not state.running or number[next(reversed(state.running))] < number[event.id]
    state.running[event.id] = state.waiting.pop(event.id)
    if not in_order:  # it was overtaken while it waited
        state.running = dict(sorted(state.running.items(), key=lambda item: number[item[0]]))


def _alloc(state: State, event: Alloc, time: int) -> None:
    sequence = _known(state, event.id)
    for block in event.blocks:
        if block < 0 or (state.num_blocks is not None and block >= state.num_blocks):
            raise TraceError(
                f"sequence {event.id} takes block {block} of a pool of {state.num_blocks}"
            )
        holders = state.owners.get(block)
        if holders is None:
            state.owners[block] = [event.id]
        elif event.id in holders:
            raise TraceError(f"sequence {event.id} takes block {block}, which it holds already")
        elif block not in state.cached:
            raise TraceError(
                f"sequence {event.id} takes block {block}, which {', '.join(holders)} holds and "
                "which is not cached, so cannot be shared"
            )
        else:
            holders.append(event.id)
        sequence.blocks.append(block)


def _free(state: State, event: Free, time: int) -> None:
    sequence = _known(state, event.id)
    for block in sequence.blocks:
        holders = state.owners[block]
        holders.remove(event.id)
        if not holders:
            del state.owners[block]
    sequence.blocks = []


def _cached(state: State, event: Cached, time: int) -> None:
    state.cached.update(event.blocks)


def _evicted(state: State, event: Evicted, time: int) -> None:
    for block in event.blocks:
        if block not in state.cached:
            raise TraceError(f"block {block} is evicted but was not cached")
        state.cached.discard(block)


def _preempted(state: State, event: Preempted, time: int) -> None:
    sequence = _known(state, event.id)
    if sequence.phase not in ("prefill", "decode"):
        raise TraceError(f"sequence {event.id} is preempted in phase {sequence.phase}")
    sequence.phase = "waiting"
    sequence.computed = sequence.cached_tokens = 0
    sequence.preemptions += 1
    state.waiting[event.id] = state.running.pop(event.id)


def _done(state: State, event: Done, time: int) -> None:
    sequence = _known(state, event.id)
    if sequence.phase != "decode":
        raise TraceError(f"sequence {event.id} is done in phase {sequence.phase}")
    sequence.phase = "done"


def _finished(state: State, event: Finished, time: int) -> None:
    sequence = _known(state, event.id)
    if sequence.phase == "finished":
        raise TraceError(f"sequence {event.id} finishes a second time")
    if not sequence.outputs and event.reason in ("stop", "length"):
        raise TraceError(f"sequence {event.id} ends by {event.reason!r} without an output token")
    (state.waiting if sequence.phase == "waiting" else state.running).pop(event.id)
    sequence.phase, sequence.finish_reason, sequence.finished_at = "finished", event.reason, time
    state._left.append(event.id)


_CHANGES = {
    Added: _added,
    Admitted: _admitted,
    Alloc: _alloc,
    Free: _free,
    Cached: _cached,
    Evicted: _evicted,
    Preempted: _preempted,
    Done: _done,
    Finished: _finished,
}
