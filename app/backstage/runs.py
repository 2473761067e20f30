"""The runs that the Compare page shows: recorded, simulated, or made on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from backstage.choice import Choice
from backstage.engines import prepare
from backstage.rerun import serve_again
from backstage.way import REAL, RECORDED, Way
from minillm.recordings import bundled, names
from minillm.simulation import simulate
from minillm.trace.trace import Trace

if TYPE_CHECKING:
    from minillm.execution.loaded_model import LoadedModel


Key = tuple[str, int, str, Way]
"""Scene, seed, the requests if they were drawn, and the way they were served."""


class Runs:
    """One visitor's. A run is kept until the visitor leaves: real ones take their time."""

    def __init__(self) -> None:
        self._kept: dict[Key, Trace] = {}

    def get(self, choice: Choice, way: Way) -> Trace | None:
        """The run of `way` with the scene, seed and model of `choice`; None where it has yet to be
        made on this machine. Raises ConfigError for settings that cannot be simulated."""
        key = _key(choice, way)
        if key not in self._kept:
            run = self._quick(choice, way)
            if run is None:
                return None
            self._kept[key] = run
        return self._kept[key]

    def make(
        self, loaded: LoadedModel, choice: Choice, way: Way, progress: Callable[[float], None]
    ) -> None:
        """Make a real run; `progress` hears the share of requests that are done. Raises
        ConfigError, RequestRejected."""
        self._kept[_key(choice, way)] = _real(loaded, choice_of(choice, way), progress)

    def _quick(self, choice: Choice, way: Way) -> Trace | None:
        scene = choice.the_scene
        if way.device == REAL:
            return None
        settings = choice_of(choice, way).engine_settings()
        if choice.requests is not None:
            if way.device == RECORDED:
                return None
            return simulate(choice.requests, choice.model, way.device, way.scheduler, **settings)
        if way.device == RECORDED:
            name = scene.recording(way.scheduler, way.memory)
            as_recorded = not (choice.seed or way.block_size or way.budget)
            return Trace.load(bundled(name)) if as_recorded and name in names() else None
        base = self._base(choice)
        if base is None:
            return None
        return serve_again(base, way.scheduler, way.device, settings)

    def _base(self, choice: Choice) -> Trace | None:
        """A run that says how long prompts and answers are."""
        if choice.seed == 0:
            return Trace.load(bundled(choice.the_scene.recording(*choice.the_scene.ways[0])))
        made = (
            run
            for key, run in self._kept.items()
            if key[-1].device == REAL and key == _key(choice, key[-1])
        )
        return next(made, None)


def _key(choice: Choice, way: Way) -> Key:
    return choice.scene, choice.seed, repr(choice.requests), way


def choice_of(choice: Choice, way: Way) -> Choice:
    """`choice` as an engine needs it for `way`: in blocks of another size as many slots."""
    paged = choice.the_scene.settings
    slots = paged["num_blocks"] * paged["block_size"]
    return replace(
        choice,
        scheduler=way.scheduler,
        memory=way.memory,
        block_size=way.block_size,
        max_num_batched_tokens=way.budget,
        num_blocks=max(1, slots // way.block_size) if way.block_size else None,
        max_num_seqs=None,
        enable_prefix_caching=None,
    )


def _real(loaded: LoadedModel, choice: Choice, progress: Callable[[float], None]) -> Trace:
    drawn = choice.requests
    count = len(choice.the_scene.workload(choice.seed) if drawn is None else drawn)
    driver, recorder = prepare(loaded, choice)
    engine, done = driver.engine, 0
    engine.hooks.on("step", recorder.on_step)
    while not driver.finished:
        driver.step()
        finished = sum(r.finished_at is not None for r in recorder.trace.requests)
        if finished > done:
            done = finished
            progress(done / count)
    recorder.close(events=engine.pending_events, how="complete", time=engine.clock.now)
    return recorder.trace
