"""When a run took memory back: preemptions and swaps, for marks above a chart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minillm.events import Event, Preempted, SwappedIn, SwappedOut
from minillm.trace.trace import Trace

SIGNS = {"preempted": "×", "swapped_out": "▼", "swapped_in": "▲"}
MOST = 80  # marks; of more, every second, third, …


def marks(trace: Trace) -> list[dict[str, Any]]:
    """Rows `seconds`, `kind` (of `SIGNS`) and `request`, in the order of the run. One who was
    swapped out just before it was preempted is named once."""
    found = [
        {"seconds": time / 1e9, "kind": kind, "request": id}
        for step in list(trace.steps)
        for events, time in ((step.events, step.start), (step.after, step.start + step.duration))
        for kind, id in _of(events)
    ]
    return found[:: max(1, -(-len(found) // MOST))]


def _of(events: tuple[Event, ...]) -> Iterator[tuple[str, str]]:
    out = set()
    for event in events:
        match event:
            case SwappedOut():
                out.add(event.id)
                yield "swapped_out", event.id
            case SwappedIn():
                yield "swapped_in", event.id
            case Preempted() if event.id not in out:
                yield "preempted", event.id
            case _:
                pass
