"""Live engines: one desk per session, a limited number of engines per process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
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


class TooManyEngines(RuntimeError):
    """All `limit` engines that one process allows are in use."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"all {limit} live engines of this process are in use")
        self.limit = limit


class EngineRoom:
    """Counts the desks that own an engine. One per process."""

    def __init__(self, limit: int = MAX_ENGINES) -> None:
        self.limit = limit
        self._desks: set[Desk] = set()
        self._lock = threading.Lock()

    def enter(self, desk: Desk) -> None:
        """Let `desk` own an engine. Raises TooManyEngines."""
        with self._lock:
            if desk not in self._desks and len(self._desks) >= self.limit:
                raise TooManyEngines(self.limit)
            self._desks.add(desk)

    def leave(self, desk: Desk) -> None:
        with self._lock:
            self._desks.discard(desk)

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
