"""The fold: from records to state.

`apply(state, step)` advances a `State` by one step, in place; `State.copy()` keeps a moment. Its
halves, `decide` and `run`, are for who reads the whole run in one go: they cost what changed and
no more, because they leave alone those that decode once more. Records that contradict each other
raise `TraceError`, which names the contradiction: a run that folds is a run that could have
happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps

import msgspec

from minillm.events import (
    ALL_RUNNING,
    Added,
    Admitted,
    Alloc,
    Cached,
    Copied,
    Done,
    Event,
    Evicted,
    Finished,
    Forked,
    Free,
    Preempted,
    Step,
    SwappedIn,
    SwappedOut,
)
from minillm.trace.records import Closing, SequenceState
from minillm.trace.state import State, TraceError, in_order

__all__ = ["State", "TraceError", "apply", "close", "decide", "run"]

MOST_TIME = 2**63 - 1  # ns: what 64 bits hold


def apply(state: State, step: Step) -> State:
    """Advance `state` by `step`, in place; returns it. Raises TraceError on a contradiction."""
    decide(state, step)
    run(state, step)
    state.settle()
    return state


def _naming(change: Callable[[State, Step], None]) -> Callable[[State, Step], None]:
    """Its errors say in which step."""

    @wraps(change)
    def named(state: State, step: Step) -> None:
        try:
            change(state, step)
        except TraceError as error:
            raise TraceError(f"step {step.index}: {error}") from None

    return named


@_naming
def decide(state: State, step: Step) -> None:
    """The first half of a step: what happened before its batch ran. The counters of those who go on
    decoding are not brought up to date; see `State`."""
    if step.index != state.index + 1:
        raise TraceError(f"follows step {state.index}; steps must be numbered without a gap")
    if step.start < state.time:
        raise TraceError(
            f"starts at {step.start} ns, before the step in front of it ended ({state.time} ns)"
        )
    if step.duration < 0:
        raise TraceError(f"lasts {step.duration} ns; time never runs backwards")
    _check_time("ends", step.start + step.duration)
    for id in state.left:
        del state.number[id]
        gone = state.sequences.pop(id)
        if gone.blocks or gone.cpu_blocks:
            raise TraceError(f"sequence {id} left the engine with blocks that it never freed")
    state.left, state.released, state.born, state.wasted = [], {}, set(), ()
    state.index, state.start = step.index, step.start
    _begin(state)
    _apply_events(state, step.events, step.start)
    if step.waits is not None:
        state.set_waits(step.waits)


@_naming
def run(state: State, step: Step) -> None:
    """The second half: its batch, and what followed from that."""
    state.time = end = step.start + step.duration
    state.load = (len(state.running), len(state.waiting), len(state.owners))
    _begin(state)
    _run_batch(state, step, end)
    for event in step.after:
        if type(event) is Free and event.id in state.sequences:
            state.released[event.id] = len(state.sequences[event.id].blocks)
    _apply_events(state, step.after, end)
    for id, piece in step.text.items():
        _known(state, id).text += piece


def close(state: State, closing: Closing) -> State:
    """Apply what happened after the last step, in place; returns `state`."""
    if closing.time < state.time:
        raise TraceError(
            f"the run is closed at {closing.time} ns, before its last step ended ({state.time} ns)"
        )
    _check_time("the run is closed", closing.time)
    state.wasted = ()
    _begin(state)
    _apply_events(state, closing.events, closing.time)
    state.time = closing.time
    return state


def _check_time(what: str, time: int) -> None:
    if time > MOST_TIME:
        raise TraceError(f"{what} at {time} ns, which is more than 64 bits hold")


def _begin(state: State) -> None:
    state.counted.clear()
    state.sampled.clear()


def _apply_events(state: State, events: Iterable[Event], time: int) -> None:
    """Apply events that happened at `time`; kinds that have no effect here are skipped."""
    for event in events:
        change = _CHANGES.get(type(event))
        if change is not None:
            change(state, event, time)


def _run_batch(state: State, step: Step, end: int) -> None:
    tokens = step.tokens
    if step.wasted:
        state.wasted = step.wasted
        tokens = tokens | dict.fromkeys(step.wasted, ())
    decodes = () if ALL_RUNNING in state.waiters else tuple(state.decoding)
    state.ran(decodes, step.prefills, tuple(state.done))
    if decodes:
        _decode(state, tokens, end)
    for id, count in step.prefills:
        sequence = _known(state, id)
        if sequence.phase != "prefill":
            raise TraceError(f"prefill of sequence {id}, which is in phase {sequence.phase}")
        left = sequence.target - sequence.computed
        if not 0 < count <= left:
            raise TraceError(f"prefill of {count} tokens of sequence {id}, which needs {left}")
        sequence.computed += count
        if count == left:
            sequence.phase = "decode"
            _sample(state, sequence, len(tokens[id]) if id in tokens else 1, end)
            state.join(sequence)


def _decode(state: State, tokens: Mapping[str, Sequence[int]], end: int) -> None:
    """A tick: each in `decoding` gains a token, but for those of which more is to be said."""
    decoding = state.decoding
    special = [id for id, gained in tokens.items() if len(gained) != 1 and id in decoding]
    special += [id for id in state.tokenless if id not in special]
    for id in special:
        state.catch_up(id)
    state.ticks += 1
    for id in special:
        decoding[id] = state.ticks
        sequence = state.sequences[id]
        sequence.computed += 1
        _sample(state, sequence, len(tokens[id]) if id in tokens else 1, end)
        if sequence.first_token_at is not None:
            state.tokenless.discard(id)


def _sample(state: State, sequence: SequenceState, gained: int, end: int) -> None:
    """All tokens are computed: gain output tokens, the last of which is not computed yet."""
    state.sampled.append((sequence.id, gained))
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
    state.enter(sequence)
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
    if not sequence.cpu_blocks:
        sequence.computed = sequence.cached_tokens = event.cached_tokens
    elif sequence.outputs and sequence.computed == sequence.target - 1:
        sequence.phase = "decode"  # it goes on where it was swapped out
    if sequence.admitted_at is None:
        sequence.admitted_at = time
    state.running[event.id] = state.waiting.pop(event.id)
    in_order(state.running, state.number)  # it may have been overtaken while it waited
    if sequence.phase == "decode":
        state.join(sequence)


def _alloc(state: State, event: Alloc, time: int) -> None:
    sequence = _known(state, event.id)
    for block in event.blocks:
        _check_block(state, event.id, block)
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


def _check_block(state: State, id: str, block: int) -> None:
    if block < 0 or (state.num_blocks is not None and block >= state.num_blocks):
        raise TraceError(f"sequence {id} takes block {block} of a pool of {state.num_blocks}")


def _free(state: State, event: Free, time: int) -> None:
    sequence = _known(state, event.id)
    _give_up(state, sequence)
    if sequence.cpu_blocks:
        state.catch_up(event.id)
        sequence.cpu_blocks = []
        sequence.computed = 0


def _give_up(state: State, sequence: SequenceState) -> None:
    for block in sequence.blocks:
        _disown(state, sequence.id, block)
    sequence.blocks = []


def _disown(state: State, id: str, block: int) -> None:
    holders = state.owners[block]
    holders.remove(id)
    if not holders:
        del state.owners[block]


def _forked(state: State, event: Forked, time: int) -> None:
    parent = _known(state, event.id)
    if parent.phase != "decode":
        raise TraceError(f"sequence {event.id} is forked in phase {parent.phase}")
    if event.child in state.sequences:
        raise TraceError(f"sequence {event.child} is forked off a second time")
    if list(event.blocks) != parent.blocks[: len(event.blocks)]:
        raise TraceError(f"sequence {event.child} shares blocks that {event.id} does not hold")
    state.catch_up(event.id)
    child = msgspec.structs.replace(
        parent,
        id=event.child,
        text="",
        blocks=list(event.blocks),
        first_token_at=time,
        preemptions=0,
    )
    for block in event.blocks:
        state.owners[block].append(event.child)
    state.enter(child)
    state.running[event.child] = child
    state.join(child)
    state.born.add(event.child)


def _copied(state: State, event: Copied, time: int) -> None:
    sequence = _known(state, event.id)
    _check_block(state, event.id, event.copy)
    if event.block not in sequence.blocks:
        raise TraceError(f"sequence {event.id} copies block {event.block}, which it does not hold")
    if event.copy in state.owners:
        raise TraceError(f"sequence {event.id} copies to block {event.copy}, which is not free")
    sequence.blocks[sequence.blocks.index(event.block)] = event.copy
    _disown(state, event.id, event.block)
    state.owners[event.copy] = [event.id]


def _swapped_out(state: State, event: SwappedOut, time: int) -> None:
    sequence = _known(state, event.id)
    if not sequence.blocks or not event.cpu_blocks:
        raise TraceError(f"sequence {event.id} is swapped out, but has nothing to save")
    sequence.cpu_blocks = list(event.cpu_blocks)
    _give_up(state, sequence)


def _swapped_in(state: State, event: SwappedIn, time: int) -> None:
    sequence = _known(state, event.id)
    if not sequence.cpu_blocks:
        raise TraceError(f"sequence {event.id} is swapped in, but was not swapped out")
    sequence.cpu_blocks = []


def _cached(state: State, event: Cached, time: int) -> None:
    if state.num_blocks is not None:
        for block in event.blocks:
            if not 0 <= block < state.num_blocks:
                raise TraceError(f"block {block} of a pool of {state.num_blocks} is cached")
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
    state.leave(event.id)
    sequence.phase = "waiting"
    if not sequence.cpu_blocks:
        sequence.computed = sequence.cached_tokens = 0
    sequence.preemptions += 1
    state.waiting[event.id] = state.running.pop(event.id)


def _done(state: State, event: Done, time: int) -> None:
    sequence = _known(state, event.id)
    if sequence.phase != "decode":
        raise TraceError(f"sequence {event.id} is done in phase {sequence.phase}")
    state.leave(event.id)
    sequence.phase = "done"
    state.done[event.id] = None
    in_order(state.done, state.number)


def _finished(state: State, event: Finished, time: int) -> None:
    sequence = _known(state, event.id)
    if sequence.phase == "finished":
        raise TraceError(f"sequence {event.id} finishes a second time")
    state.leave(event.id)
    state.done.pop(event.id, None)
    if not sequence.outputs and event.reason in ("stop", "length"):
        raise TraceError(f"sequence {event.id} ends by {event.reason!r} without an output token")
    (state.waiting if sequence.phase == "waiting" else state.running).pop(event.id)
    if event.id in state.wasted:  # it had ended when the step began, which was too late to tell
        time = state.start
    sequence.phase, sequence.finish_reason, sequence.finished_at = "finished", event.reason, time
    state.left.append(event.id)


_CHANGES = {
    Added: _added,
    Admitted: _admitted,
    Alloc: _alloc,
    Free: _free,
    Cached: _cached,
    Evicted: _evicted,
    Forked: _forked,
    Copied: _copied,
    SwappedOut: _swapped_out,
    SwappedIn: _swapped_in,
    Preempted: _preempted,
    Done: _done,
    Finished: _finished,
}
