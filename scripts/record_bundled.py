"""Record the scenes that come with minillm, from the pocket model on this machine.

    python scripts/record_bundled.py

Each scene is recorded the way that shows its problem and the way that answers it, into
minillm/recordings/. The clock is the machine's own, so timings differ from run to run; of a few
takes the one is kept in which most requests stand still at once, and of these the one that the
machine disturbed least.
"""

from __future__ import annotations

from pathlib import Path

import torch

from minillm.build import SceneLabel, build_engine, header_of
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.recordings import __file__ as here
from minillm.trace.fold import State, apply
from minillm.trace.recorder import Recorder
from minillm.trace.trace import Trace
from minillm.workload import WorkloadDriver
from minillm.workload.scenes import SCENES, Scene

TAKES = 3


def record(loaded: LoadedModel, scene: Scene, scheduler: str, memory: str) -> Trace:
    """One run of `scene` at full speed."""
    engine = build_engine(loaded, scheduler, **scene.settings_for(scheduler, memory))
    label = SceneLabel(scene.name, scene.title, scene.question)
    recorder = Recorder(header_of(engine, loaded, label))
    engine.hooks.on("step", recorder.on_step)
    driver = WorkloadDriver(engine, scene.workload(seed=0))
    while not driver.finished:
        driver.step()
    recorder.close(engine.pending_events, time=engine.clock.now)
    return recorder.trace


def standing(trace: Trace) -> int:
    """The most requests that waited or stalled in one step."""
    state, most = State(trace.header.num_blocks), 0
    for step in trace.steps:
        apply(state, step)
        most = max(most, len(state.waits_by_sequence()))
    return most


def main() -> None:
    torch.set_num_threads(1)
    loaded = load_model("pocket")
    for scene in SCENES.values():
        for scheduler, memory in scene.ways:
            record(loaded, scene, scheduler, memory)  # the first take of a kind warms up
            takes = [record(loaded, scene, scheduler, memory) for _ in range(TAKES)]
            best = max(takes, key=lambda take: (standing(take), -take.duration))
            path = Path(here).parent / f"{scene.recording(scheduler, memory)}.jsonl"
            best.save(path)
            print(f"{path.name}: {best}, {path.stat().st_size / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
