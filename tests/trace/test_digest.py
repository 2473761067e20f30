"""The digest leaves alone those that decode once more; what it says is what a recount says."""

from __future__ import annotations

from hypothesis import given, settings
from recorded_runs import runs

from minillm.events import Forked
from minillm.trace import Recorder, Trace, apply


@settings(max_examples=30, deadline=None)
@given(runs)
def test_tokens_are_those_of_the_batches(recorder: Recorder) -> None:
    """Read after each step, as a view of a live run does, too."""
    whole = recorder.trace
    grows = Trace(whole.header)
    state = grows.state_at(-1)
    times: dict[str, list[int]] = {}
    for step in whole.steps:
        before = {id: sequence.outputs for id, sequence in state.sequences.items()}
        apply(state, step)
        for id, _, kind in state.batch:
            if kind != "dead":
                gained = state.sequences[id].outputs - before.get(id, 0)
                times.setdefault(id, []).extend([state.time] * gained)
        for event in step.after:
            if isinstance(event, Forked):
                times[event.child] = [state.time]
        grows.steps.append(step)
        assert _times(grows) == times
    for request in whole.requests:
        assert request.token_times == times.get(request.id, [])
        assert request.output_len == len(request.token_times)
        assert request.first_token_at == next(iter(request.token_times), None)


def _times(trace: Trace) -> dict[str, list[int]]:
    return {r.id: r.token_times for r in trace.requests if r.token_times}
