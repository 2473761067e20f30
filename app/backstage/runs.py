"""The runs that the Compare page shows: recorded, simulated, or made on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from backstage.choice import Choice
from backstage.rerun import serve_again
from backstage.way import REAL, RECORDED, Way
from minillm.recordings import bundled, names
from minillm.trace.recorder import Recorder
from minillm.trace.trace import Trace
from minillm.workload.driver import WorkloadDriver

if TYPE_CHECKING:
    from minillm.execution.loaded_model import LoadedModel


class Runs:
    """One visitor's. A run is kept until the visitor leaves: real ones take their time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int, Way], Trace] = {}

    def get(self, choice: Choice, way: Way) -> Trace | None:
        """The run of `way` with the scene, seed and model of `choice`; None where it has yet to be
        made on this machine. Raises ConfigError for settings that cannot be simulated."""
        key = (choice.scene, choice.seed, way)
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
        self._kept[choice.scene, choice.seed, way] = _real(loaded, choice_of(choice, way), progress)

    def _quick(self, choice: Choice, way: Way) -> Trace | None:
        scene = choice.the_scene
        if way.device == REAL:
            return None
        if way.device == RECORDED:
            name = scene.recording(way.scheduler, way.memory)
            as_recorded = not (choice.seed or way.block_size or way.budget)
            return Trace.load(bundled(name)) if as_recorded and name in names() else None
        base = self._base(choice)
        if base is None:
            return None
        settings = choice_of(choice, way).engine_settings()
        return serve_again(base, way.scheduler, way.device, settings)

    def _base(self, choice: Choice) -> Trace | None:
        """A run that says how long prompts and answers are."""
        if choice.seed == 0:
            return Trace.load(bundled(choice.the_scene.recording(*choice.the_scene.ways[0])))
        made = (
            run
            for (scene, seed, way), run in self._kept.items()
            if (scene, seed, way.device) == (choice.scene, choice.seed, REAL)
        )
        return next(made, None)


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
    from minillm.build import SceneLabel, build_engine, header_of

    scene = choice.the_scene
    engine = build_engine(loaded, choice.scheduler, **choice.engine_settings())
    workload = scene.workload(choice.seed)
    recorder = Recorder(header_of(engine, loaded, SceneLabel(scene.name, scene.title, "")))
    driver = WorkloadDriver(engine, workload)
    engine.hooks.on("step", recorder.on_step)
    done = 0
    while not driver.finished:
        driver.step()
        finished = sum(r.finished_at is not None for r in recorder.trace.requests)
        if finished > done:
            done = finished
            progress(done / len(workload))
    recorder.close(events=engine.pending_events, how="complete", time=engine.clock.now)
    return recorder.trace
