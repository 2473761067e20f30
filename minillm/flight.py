"""One step between its launch and its end, in an engine that is a step ahead (`overlapped.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from minillm.engine import Batch
from minillm.events import Event, Finished
from minillm.execution.batch import InFlight, Result
from minillm.output import OutputStream
from minillm.request import FinishReason, Request


class Failed:
    """A launch that raised: it does so again where the result is wanted."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def result(self) -> Result:
        raise self.error


@dataclass(slots=True)
class Flight:
    """One launched step. `ended`: those of its rows that end by length with the token it samples;
    `entered`: streams that it scheduled for the first time."""

    batch: Batch
    events: tuple[Event, ...]
    handle: InFlight
    entered: Sequence[OutputStream]
    ended: dict[Request, FinishReason] = field(default_factory=dict)
    reasons: dict[str, FinishReason] = field(default_factory=dict)  # why these ended indeed
    late: list[str] = field(default_factory=list)  # not in it, but only told with it to have ended
    after: tuple[Event, ...] = ()

    def with_reason(self, event: Event) -> Event:
        """`event`, with the reason known by now in place of the one it was written with."""
        if isinstance(event, Finished) and event.id in self.reasons:
            return Finished(event.id, self.reasons[event.id].value)
        return event
