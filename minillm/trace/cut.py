"""A stretch of a run as a trace of its own: it begins with the state that the run was in.

That state is a keyframe of step −1, in front of step 0. What it cannot say is who made the
requests wait before, and when their earlier tokens came: so of a trimmed trace, latencies are
whole (they count from the arrival), but waits before the cut have no culprit and gaps between
tokens across it are not known; throughputs are those of the stretch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from minillm.trace.records import Closing, Header, Keyframe, SequenceState
from minillm.trace.state import State, TraceError

if TYPE_CHECKING:
    from minillm.trace.trace import Trace

BEFORE = -1  # the step that such a keyframe follows


def begin(header: Header, base: Keyframe | None) -> State:
    """The state before step 0. Raises TraceError where `base` cannot be."""
    if base is None:
        return State(header.num_blocks)
    ids: set[str] = set()
    for sequence in base.sequences:
        why = _impossible(sequence, header, base)
        if sequence.id in ids:
            why = "is there twice"
        if why is not None:
            raise TraceError(f"the state before step 0: sequence {sequence.id} {why}")
        ids.add(sequence.id)
    if base.time < 0 or any(not 0 <= block < header.num_blocks for block in base.cached):
        raise TraceError("the state before step 0: a time or a cached block that cannot be")
    return State.from_keyframe(base, header.num_blocks)


def _impossible(sequence: SequenceState, header: Header, base: Keyframe) -> str | None:
    """Why this sequence cannot be as it is, or None."""
    blocks = sequence.blocks
    if sequence.phase not in ("waiting", "prefill", "decode", "done"):
        return f"is in phase {sequence.phase!r}"
    if any(not 0 <= block < header.num_blocks for block in blocks):
        return f"holds a block outside the pool of {header.num_blocks}"
    if len(set(blocks)) < len(blocks):
        return "holds a block twice"
    if sequence.arrival > base.time:
        return "has not arrived"
    if sequence.prompt_len < 1 or not 0 <= sequence.computed <= sequence.target:
        return f"has computed {sequence.computed} of {sequence.target} tokens"
    if sequence.outputs < 0 or (sequence.outputs > 0) != (sequence.first_token_at is not None):
        return f"has {sequence.outputs} output tokens"
    if sequence.phase != "waiting" and sequence.admitted_at is None:
        return f"is in phase {sequence.phase!r}, but was never admitted"
    return None


def trim(trace: Trace, first: int, last: int) -> Trace:
    """Steps `first` to `last`, inclusive, renumbered from 0, with the notes on them. Raises
    TraceError where there are no such steps."""
    from minillm.trace.trace import Trace

    trace.check_step(first)
    trace.check_step(last)
    if first > last:
        raise TraceError(f"a stretch from step {first} to step {last} holds nothing")
    steps = [
        msgspec.structs.replace(step, index=index)
        for index, step in enumerate(trace.steps[first : last + 1])
    ]
    closing = trace.closing
    if last + 1 < len(trace.steps):
        closing = Closing(closing="stopped", time=steps[-1].start + steps[-1].duration)
    return Trace(
        msgspec.structs.replace(trace.header, first_step=trace.header.first_step + first),
        steps,
        closing,
        truncated=trace.truncated and last + 1 == len(trace.steps),
        notes=[
            msgspec.structs.replace(note, note=note.note - first)
            for note in trace.notes
            if first <= note.note <= last
        ],
        base=_base(trace, first),
    )


def _base(trace: Trace, first: int) -> Keyframe | None:
    """The state in front of step `first`; None where nothing was before."""
    if first == 0:
        return trace.base
    keyframe = trace.state_at(first - 1).keyframe()
    going_on = [s for s in keyframe.sequences if s.phase != "finished"]
    parents = {request.id: request.parent for request in trace.requests}
    ids = {sequence.id for sequence in going_on}
    for sequence in going_on:
        parent = parents[sequence.id]
        sequence.parent = parent if parent in ids else None
    return msgspec.structs.replace(keyframe, keyframe=BEFORE, sequences=going_on)
