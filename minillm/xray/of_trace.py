"""The case of a recorded step: the batch that attention saw, at its place in memory."""

from __future__ import annotations

from typing import Any

import msgspec

from minillm.trace import Trace, apply
from minillm.xray.case import Case, XRayError


def case_of(trace: Trace, step: int, **shape: Any) -> Case:
    """Step `step`'s sequences with their lengths and block tables. A trace knows neither heads nor
    contents: `shape` sets `num_heads` and the other fields of `Case`.

    Raises XRayError for a step that the trace does not have or that computed nothing, and for one
    that is too large to interpret.
    """
    if not 0 <= step < len(trace.steps):
        raise XRayError(f"there is no step {step}: the trace has {len(trace.steps)}")
    # Without what followed from the tokens: a sequence that ended gave its blocks back.
    state = apply(trace.state_at(step - 1), msgspec.structs.replace(trace.steps[step], after=()))
    rows = [(id, new) for id, new, kind in state.batch if kind != "dead"]
    if not rows:
        raise XRayError(f"step {step} computed nothing")
    sequences = [state.sequences[id] for id, _ in rows]
    return Case(
        seq_lens=tuple(sequence.computed for sequence in sequences),
        query_lens=tuple(new for _, new in rows),
        block_size=trace.header.block_size,
        block_tables=tuple(tuple(sequence.blocks) for sequence in sequences),
        **shape,
    )
