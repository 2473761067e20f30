"""Live engines: one desk per session, a limited number of engines per process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backstage.made_up import with_prompts
from minillm.live import LiveRun
from minillm.trace.recorder import Recorder
from minillm.workload.driver import WorkloadDriver

if TYPE_CHECKING:
    from backstage.choice import Choice
    from minillm.execution.loaded_model import LoadedModel

MAX_ENGINES = 8
PATIENCE = 10.0  # seconds: who has not asked for so long has left the line


class TooManyEngines(RuntimeError):
    """All `limit` engines that one process allows are in use."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"all {limit} live engines of this process are in use")
        self.limit = limit


class EngineRoom:
    """Counts the desks that own an engine, and keeps those in line that wait for one. One per
    process."""

    def __init__(
        self, limit: int = MAX_ENGINES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = limit
        self._clock = clock
        self._desks: set[Desk] = set()
        self._line: dict[Desk, float] = {}  # in order, with the time at which it asked last
        self._lock = threading.Lock()

    def enter(self, desk: Desk) -> None:
        """Let `desk` own an engine. Raises TooManyEngines; those in line come first."""
        with self._lock:
            if desk not in self._desks and self._ahead_of(desk) >= self.limit - len(self._desks):
                raise TooManyEngines(self.limit)
            self._line.pop(desk, None)
            self._desks.add(desk)

    def place(self, desk: Desk) -> int:
        """The place of `desk` in line, from 1, at the end of which it stands if it stood in none;
        0 when it may enter now. To be asked every few seconds, or the place is lost."""
        with self._lock:
            self._line[desk] = self._clock()
            ahead = self._ahead_of(desk)
            return 0 if ahead < self.limit - len(self._desks) else ahead + 1

    def leave_line(self, desk: Desk) -> None:
        with self._lock:
            self._line.pop(desk, None)

    def leave(self, desk: Desk) -> None:
        with self._lock:
            self._desks.discard(desk)
            self._line.pop(desk, None)

    def _ahead_of(self, desk: Desk) -> int:
        """How many in line come before `desk`."""
        gone = self._clock() - PATIENCE
        self._line = {one: asked for one, asked in self._line.items() if asked > gone}
        line = list(self._line)
        return line.index(desk) if desk in line else len(line)

    @property
    def runs(self) -> list[LiveRun]:
        """The runs whose engine threads are alive."""
        with self._lock:
            runs = [desk.run for desk in self._desks]
        return [run for run in runs if run is not None and run.alive]


class Desk:
    """A session's place in the engine room: at most one live run at a time."""

    def __init__(self, room: EngineRoom) -> None:
        self.run: LiveRun | None = None
        self._room = room
        self._closed = False

    def start(self, loaded: LoadedModel, choice: Choice) -> LiveRun:
        """Start what was chosen, playing. The run before ends only when the new one stands.
        Raises ConfigError, ModelError, RequestRejected or TooManyEngines."""
        self._room.enter(self)
        try:
            run = _build(loaded, choice)
        except BaseException:
            if self.run is None:
                self._room.leave(self)
            raise
        self._stop()
        self.run = run
        self._room.enter(self)
        if self._closed:  # the tab went while the engine was built
            self.reset()
        else:
            run.play()
        return run

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A place for an engine that the session itself runs to its end; a live run ends. Raises
        TooManyEngines."""
        self.reset()
        self._room.enter(self)
        try:
            yield
        finally:
            self._room.leave(self)

    def wait(self) -> int:
        """The place in line for an engine; see `EngineRoom.place`."""
        return self._room.place(self)

    def wait_no_more(self) -> None:
        self._room.leave_line(self)

    def reset(self) -> None:
        """End the live run, if there is one. Does not wait for its last step."""
        self._stop()
        self._room.leave(self)

    def close(self) -> None:
        """The session is over."""
        self._closed = True
        self.reset()

    def _stop(self) -> None:
        if self.run is not None:
            self.run.close(timeout=0)
            self.run = None


def _build(loaded: LoadedModel, choice: Choice) -> LiveRun:
    driver, recorder = prepare(loaded, choice)
    return LiveRun(driver, recorder, pace=choice.pace)


def prepare(loaded: LoadedModel, choice: Choice) -> tuple[WorkloadDriver, Recorder]:
    """An engine with its requests, as chosen, and what will record it. Raises ConfigError,
    ModelError."""
    from minillm.build import SceneLabel, build_engine, header_of

    scene = choice.the_scene
    engine = build_engine(loaded, choice.scheduler, **choice.engine_settings())
    if choice.requests is None:
        label = SceneLabel(scene.name, scene.title, scene.question)
        workload = scene.workload(choice.seed)
    else:
        label = SceneLabel(title=choice.title or "")
        workload = with_prompts(choice.requests, loaded.tokenizer, choice.seed)
    return WorkloadDriver(engine, workload), Recorder(header_of(engine, loaded, label))
