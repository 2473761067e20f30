"""Export to the Chrome trace format, for ui.perfetto.dev or chrome://tracing. Times in µs.

Perfetto draws no overlap within a lane, so there is one lane per *concurrent* request: a request
takes the lowest lane that is free from its arrival on. Waiting and computing are apart: a request
shows as queue, prefill, decode, stall, preempted, and held (a static batch keeps its slot).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from minillm.events import Added, Event, Finished, Forked, Preempted
from minillm.trace.fold import apply

if TYPE_CHECKING:
    from minillm.trace.state import State
    from minillm.trace.trace import Trace

_REQUESTS, _SCHEDULER, _COUNTERS = 1, 2, 3  # process ids: the three groups of rows


@dataclass(slots=True)
class Span:
    """One request in the engine: its lane and its slices `(kind, start, end)`, ns, in order."""

    id: str
    lane: int
    arrival: int
    prompt_len: int
    slices: list[tuple[str, int, int]] = field(default_factory=list)
    kind: str = "queue"
    since: int = 0

    def turn(self, kind: str, time: int) -> None:
        """From `time` on the request is in `kind`."""
        if kind != self.kind:
            if time > self.since:
                self.slices.append((self.kind, self.since, time))
            self.kind, self.since = kind, time


class _Lanes:
    """Follows the run and notes what each request is doing."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.open: dict[str, Span] = {}
        self._free_from: list[int] = []  # per lane: the end of the request that was last in it

    def begin(self, state: State) -> None:
        """Those in the engine before step 0: their slices begin there."""
        for sequence in state.sequences.values():
            lane, time = self._lane(state.time), state.time
            kind = {"waiting": "queue", "done": "held"}.get(sequence.phase, sequence.phase)
            if kind == "queue" and sequence.preemptions:
                kind = "preempted"
            span = Span(sequence.id, lane, time, sequence.prompt_len, kind=kind, since=time)
            self.spans.append(span)
            self.open[sequence.id] = span

    def events(self, events: Iterable[Event], time: int) -> None:
        for event in events:
            if isinstance(event, Added):
                lane = self._lane(event.arrival)
                span = Span(event.id, lane, event.arrival, event.prompt_len, since=event.arrival)
                self.spans.append(span)
                self.open[event.id] = span
            elif isinstance(event, Forked):
                parent = self.open[event.id]
                span = Span(event.child, self._lane(time), time, parent.prompt_len, since=time)
                self.spans.append(span)
                self.open[event.child] = span
            elif isinstance(event, Preempted):
                self.open[event.id].turn("preempted", time)
            elif isinstance(event, Finished):
                self.end(event.id, time)

    def end(self, id: str, time: int) -> None:
        span = self.open.pop(id)
        span.turn("", time)
        self._free_from[span.lane] = time

    def batch(self, state: State) -> None:
        in_batch = set()
        for id, _, kind in state.batch:
            in_batch.add(id)
            self.open[id].turn("held" if kind == "dead" else kind, state.start)
        for id in state.running:
            if id not in in_batch and id not in state.born:
                self.open[id].turn("stall", state.start)

    def _lane(self, arrival: int) -> int:
        taken = {span.lane for span in self.open.values()}
        for lane, end in enumerate(self._free_from):
            if lane not in taken and end <= arrival:
                return lane
        self._free_from.append(0)
        return len(self._free_from) - 1


def spans(trace: Trace) -> list[Span]:
    """Every request's slices, in order of arrival at the engine; lanes do not overlap."""
    lanes, state = _Lanes(), trace.state_at(-1)
    lanes.begin(state)
    for step in list(trace.steps):
        apply(state, step)
        lanes.events(step.events, step.start)
        lanes.batch(state)
        lanes.events(step.after, state.time)
    time = state.time
    if trace.closing is not None:
        time = trace.closing.time
        lanes.events(trace.closing.events, time)
    for id in list(lanes.open):
        lanes.end(id, time)
    return lanes.spans


def to_perfetto(trace: Trace) -> bytes:
    """The Chrome trace as JSON bytes."""
    found = spans(trace)
    events = [
        *_named(_REQUESTS, "requests", {s.lane: f"lane {s.lane + 1}" for s in found}),
        *_named(_SCHEDULER, "scheduler", {0: "steps"}),
        *_named(_COUNTERS, "engine", {}),
    ]
    for span in found:
        args = {"request": span.id, "prompt_len": span.prompt_len}
        for kind, start, end in span.slices:
            events.append(_slice(f"{kind} {span.id}", _REQUESTS, span.lane, start, end, args))
    events += _steps(trace)
    return msgspec.json.encode({"traceEvents": events, "displayTimeUnit": "ms"})


def _steps(trace: Trace) -> Iterable[dict[str, Any]]:
    """The scheduler's row, and the counters, which hold from the start of each step."""
    state = trace.state_at(-1)
    budget = trace.header.max_num_batched_tokens
    for step in list(trace.steps):
        apply(state, step)
        args = {
            "tokens": sum(n for _, n, _ in state.batch),
            "budget": budget,
            "batch": [[id, n, kind] for id, n, kind in state.batch],
            "waits": [[wait.who, wait.reason, list(wait.holders)] for wait in state.waits],
        }
        yield _slice(f"step {step.index}", _SCHEDULER, 0, state.start, state.time, args)
        running, waiting, used = state.load
        for name, value in (("running", running), ("waiting", waiting), ("KV blocks used", used)):
            yield {
                "name": name,
                "ph": "C",
                "pid": _COUNTERS,
                "ts": step.start / 1000,
                "args": {name: value},
            }


def _slice(
    name: str, pid: int, tid: int, start: int, end: int, args: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "ph": "X",
        "pid": pid,
        "tid": tid,
        "ts": start / 1000,
        "dur": (end - start) / 1000,
        "args": args,
    }


def _named(pid: int, process: str, threads: dict[int, str]) -> Iterable[dict[str, Any]]:
    yield {"name": "process_name", "ph": "M", "pid": pid, "args": {"name": process}}
    for tid, name in sorted(threads.items()):
        yield {"name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
