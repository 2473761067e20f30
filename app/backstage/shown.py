"""What is on the stage: a recording, or a live run while it grows."""

from __future__ import annotations

import itertools
import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from backstage.usage import Usage
from minillm.live import LiveRun
from minillm.recordings import bundled
from minillm.trace.lines import encode
from minillm.trace.trace import Trace

if TYPE_CHECKING:
    from minillm.trace.lives import Lives

STILL = 5  # looks that bring nothing, after which a pause is taken to be complete


@dataclass
class Shown:
    """A trace with the lines that the stage asks for, as they stand in a file. `session` names it
    to the stage, of the followers too; `token` lets the visitor's own page alone fetch what it has
    grown by; `records` only grows."""

    trace: Trace
    source: str  # what it is, in words
    run: LiveRun | None = None
    start: int | None = None  # the step shown first
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    header: dict[str, Any] = field(init=False)
    records: list[bytes] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    _lives: tuple[int, Lives] | None = None
    _still: int = 0  # looks in a row that brought nothing
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.header = msgspec.json.decode(encode(self.trace.header))
        if self.run is None:
            # The stage makes its own keyframes.
            self.records = list(itertools.islice(self.trace.encoded(keyframes=False), 1, None))

    def catch_up(self) -> None:
        """Take over the steps that a live run has made since; from any thread."""
        if self.run is not None:
            with self._lock:
                stepping = self.run.stepping  # first: what ends meanwhile is looked for again
                fresh = self.run.recorder.encoded_since(len(self.records))
                self.records += fresh
                self._still = 0 if fresh or stepping else self._still + 1

    def expect_more(self) -> None:
        """Something was asked of the engine: its answer will come."""
        self._still = 0

    def lives(self) -> Lives:
        """What each request did and whom it waited for, in the steps there are now."""
        steps = len(self.trace.steps)
        if self._lives is None or self._lives[0] != steps:
            self._lives = (steps, self.trace.lives())
        return self._lives[1]

    @property
    def engine_runs(self) -> bool:
        """The engine makes steps by itself."""
        run = self.run
        return run is not None and run.alive and run.playing and not run.idle

    @property
    def grows(self) -> bool:
        """More steps may come: a view has to look again."""
        return self.run is not None and (self.engine_runs or self._still < STILL)


def live(run: LiveRun) -> Shown:
    return Shown(run.recorder.trace, "live", run)


def from_bundle(name: str) -> Shown:
    """A recording that comes with minillm, begun at the step that makes its point."""
    trace = Trace.load(bundled(name))
    return Shown(trace, "bundled recording", start=trace.point)


def from_file(
    file: BinaryIO, name: str, progress: Callable[[float], object] | None = None
) -> Shown:
    """A recording of the visitor's. Raises TraceError with line and reason."""
    return Shown(Trace.read(file, name, progress), name)
