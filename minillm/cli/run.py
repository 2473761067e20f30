"""`minillm run`: a scene on a real model, at full speed, recorded if asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from minillm.bench import KVCacheDtype, Seed, StepSettings
from minillm.cli import options
from minillm.cli.figures import figures
from minillm.cli.groups import grouped
from minillm.cli.loading import load
from minillm.cli.progress import following
from minillm.cli.shell import fail, output
from minillm.scheduling import make_scheduler
from minillm.trace.recorder import Recorder
from minillm.workload.driver import WorkloadDriver
from minillm.workload.scenes import Scene, get_scene


@grouped
def run(
    scene: Annotated[str, typer.Argument(help="A name that `minillm scenes` lists.")],
    scheduler: Annotated[
        str | None, typer.Option(help="A system's name; by default the scene's own.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="A memory's name; by default the scene's own.")
    ] = None,
    model: options.Model = "pocket",
    *,
    steps: StepSettings,
    kv_cache_dtype: KVCacheDtype = "auto",
    seed: Seed = 0,
    record: Annotated[
        Path | None, typer.Option(help="Write the trace to this file, step by step.")
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Serve a scene's requests on a real model and print what came of it. Blocks are those of paged
    memory: any other memory gets as many token slots."""
    chosen = get_scene(scene)
    scheduler = make_scheduler(scheduler or chosen.scheduler).name
    memory = memory or chosen.memory
    asked = {name: value for name, value in asdict(steps).items() if value is not None}
    pool = {name: asked.pop(name) for name in ("block_size", "num_blocks") if name in asked}
    settings = chosen.settings_for(scheduler, memory, **pool) | asked
    settings |= {"kv_cache_dtype": kv_cache_dtype, "seed": seed}
    way = f"{scheduler}, {memory} memory, on {model}"
    output().print(f"[bold]{chosen.title}[/bold] · {way}\n{chosen.question}\n")
    driver, recorder = _prepare(chosen, scheduler, settings, model, record, device, threads)
    try:
        _serve(driver)
    finally:
        how = "complete" if driver.finished else "stopped"
        engine = driver.engine
        recorder.close(events=engine.pending_events, how=how, time=engine.clock.now)
    _report(driver, recorder, chosen, (scheduler, memory))


def _prepare(
    scene: Scene,
    scheduler: str,
    settings: dict[str, Any],
    model: str,
    record: Path | None,
    device: str,
    threads: int | None,
) -> tuple[WorkloadDriver, Recorder]:
    loaded = load(model, device, threads)
    from minillm.build import SceneLabel, build_engine, header_of

    if loaded.chat_template is None:
        fail(f"{model} has no chat template, and scenes are made of chat messages")
    engine = build_engine(loaded, scheduler, **settings)
    label = SceneLabel(scene.name, scene.title, scene.question)
    recorder = Recorder(header_of(engine, loaded, label), record)
    engine.hooks.on("step", recorder.on_step)
    return WorkloadDriver(engine, scene.workload(settings["seed"])), recorder


def _serve(driver: WorkloadDriver) -> None:
    """Run to the end, with a progress bar on stderr."""
    with following(driver.engine, driver.num_requests) as show:
        while not driver.finished:
            show(driver.step())


def _report(driver: WorkloadDriver, recorder: Recorder, scene: Scene, way: tuple[str, str]) -> None:
    console = output()
    console.print()
    console.print(figures(recorder.trace.metrics()))
    for reason, count in Counter(driver.rejections).items():
        console.print(f"refused, {count} times: {reason}", style="red", markup=False)
    if recorder.problem is not None:
        fail(recorder.problem)
    if not recorder.trace.steps:
        fail("no request could be served")
    console.print()
    if recorder.path is not None:
        console.print(f"Recorded: minillm replay {recorder.path}", markup=False)
    if way != scene.ways[1]:
        scheduler, memory = scene.ways[1]
        other = f"--scheduler {scheduler} --memory {memory}"
        console.print(f"Then: minillm run {scene.name} {other}", style="dim")
