"""The batch of a recorded step as a case."""

from __future__ import annotations

import pytest

from minillm import Trace
from minillm.recordings import bundled
from minillm.xray import XRayError, case_of


@pytest.fixture(scope="module")
def trace() -> Trace:
    return Trace.load(bundled("long-prompt-sarathi"))


def test_lengths_and_tables_are_the_steps(trace: Trace):
    """A mixed step: chunks and decodes, each with its blocks as they lay."""
    step = next(n for n, s in enumerate(trace.steps) if s.prefills and len(_rows(trace, n)) > 1)
    case = case_of(trace, step, num_heads=1, num_kv_heads=1)
    state = trace.state_at(step)
    assert list(case.query_lens) == [new for _, new, _ in state.batch]
    for n, (id, _, _) in enumerate(state.batch):
        assert case.seq_lens[n] == state.sequences[id].computed
        assert case.block_tables[n] == tuple(state.sequences[id].blocks)
    assert case.block_size == trace.header.block_size


def test_a_sequence_that_ends_in_the_step_still_has_its_blocks(trace: Trace):
    step = len(trace.steps) - 1
    assert not any(s.blocks for s in trace.state_at(step).sequences.values())
    case = case_of(trace, step, num_heads=1, num_kv_heads=1)
    assert all(case.block_tables)
    assert set(case.query_lens) == {1}


def test_steps_that_are_not_there_or_too_large_are_refused(trace: Trace):
    with pytest.raises(XRayError, match=f"there is no step {len(trace.steps)}: the trace has"):
        case_of(trace, len(trace.steps))
    largest = max(range(len(trace.steps)), key=lambda n: sum(r[1] for r in _rows(trace, n)))
    with pytest.raises(XRayError, match="too large to interpret"):
        case_of(trace, largest, num_heads=64, num_kv_heads=64)


def _rows(trace: Trace, step: int) -> list[tuple[str, int, str]]:
    return trace.state_at(step).batch
