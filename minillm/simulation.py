"""`simulate`: the real engine in simulated time.

The same `Engine`, schedulers and KV cache managers that serve tokens run here with a virtual
clock; in place of the model a cost model says how long each step takes. Nothing else differs, and
no torch is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, overload

from minillm import costs
from minillm.clock import VirtualClock
from minillm.config import EngineConfig
from minillm.engine import Engine
from minillm.engine_header import engine_header
from minillm.execution.simulated import CostModel, SimulatedExecutor
from minillm.run_summary import RunSummary
from minillm.scheduling import Scheduler, make_scheduler
from minillm.trace.recorder import Recorder
from minillm.trace.records import Header
from minillm.trace.trace import Trace
from minillm.workload.driver import WorkloadDriver
from minillm.workload.spec import RequestSpec

if TYPE_CHECKING:
    from minillm.costs import Hardware, ModelShape


@overload
def simulate(
    workload: Iterable[RequestSpec],
    model: str | ModelShape | Mapping[str, Any] | Any = ...,
    hardware: str | Hardware = ...,
    scheduler: str | Scheduler = ...,
    *,
    record: Literal[True] = ...,
    **settings: Any,
) -> Trace: ...
@overload
def simulate(
    workload: Iterable[RequestSpec],
    model: str | ModelShape | Mapping[str, Any] | Any = ...,
    hardware: str | Hardware = ...,
    scheduler: str | Scheduler = ...,
    *,
    record: Literal[False] | str | os.PathLike[str],
    **settings: Any,
) -> RunSummary: ...
def simulate(
    workload: Iterable[RequestSpec],
    model: str | ModelShape | Mapping[str, Any] | Any = "llama-2-7b",
    hardware: str | Hardware = "a100-80gb",
    scheduler: str | Scheduler = "sarathi",
    *,
    tensor_parallel: int = 1,
    dtype: str = "float16",
    cost_model: CostModel | None = None,
    max_concurrency: int | None = None,
    gpu_memory_utilization: float = 0.9,
    record: bool | str | os.PathLike[str] = True,
    seed: int = 0,
    **engine_args: Any,
) -> Trace | RunSummary:
    """Serve `workload` in simulated time and return the record of it.

    `model` and `hardware` are names or descriptions (see `minillm.costs`); `cost_model`, any
    object with `step_seconds(batch) -> float`, overrides what they say of time. `engine_args` are
    those of `EngineConfig`; the KV pool has what fits beside the weights unless `num_blocks` is
    given. `max_model_len` may exceed the model's own. `max_concurrency`: see `WorkloadDriver`.

    `record=True` gives the `Trace`. `record=False` keeps no steps and gives a `RunSummary`, and so
    does a path, to which the steps are streamed (`Trace.load` reads them): memory then
    grows with the number of requests, not with steps. The same arguments give the same bytes.

    Raises ConfigError for an impossible setting and ValueError for prompts of text; a request that
    cannot be served is recorded as rejected.
    """
    specs = list(workload)
    if any(spec.prompt_len is None for spec in specs):
        raise ValueError(
            "simulated time serves lengths: give prompt_len and output_len, not a prompt"
        )
    config = EngineConfig.from_kwargs(seed=seed, **engine_args)
    roofline = costs.cost_model(model, hardware, tensor_parallel, dtype, config.kv_cache_dtype)
    engine, header = simulated_engine(
        roofline, scheduler, config, cost_model, gpu_memory_utilization
    )
    driver = WorkloadDriver(engine, specs, max_concurrency=max_concurrency)
    recorder = summary = None
    if record is not True:
        summary = RunSummary(engine, header)
    if record is not False:
        path = None if record is True else record
        recorder = Recorder(header, path, keep=record is True)
        engine.hooks.on("step", recorder.on_step)
    try:
        while not driver.finished:
            driver.step()
    finally:
        events = engine.pending_events
        if recorder is not None:
            how = "complete" if driver.finished else "stopped"
            recorder.close(events=events, how=how, time=engine.clock.now)
    if summary is not None:
        summary.close(events)
        return summary
    assert recorder is not None
    return recorder.trace


def simulated_engine(
    roofline: costs.RooflineCostModel,
    scheduler: str | Scheduler,
    asked: EngineConfig,
    cost_model: CostModel | None = None,
    gpu_memory_utilization: float = 0.9,
) -> tuple[Engine, Header]:
    """An engine in virtual time, and the header of its trace. The arguments are as for
    `simulate`."""
    policy = make_scheduler(scheduler)
    model_max_len = max(roofline.shape.max_model_len, asked.max_model_len or 0)
    resolve = partial(
        asked.resolve,
        chunked=policy.chunked,
        preempts=policy.preempts,
        model_max_len=model_max_len,
    )
    config = resolve()
    if asked.num_blocks is None:
        fit = roofline.num_blocks(config.block_size, gpu_memory_utilization)
        config = resolve(blocks_that_fit=fit)
    costs = roofline if cost_model is None else cost_model
    engine = Engine(
        SimulatedExecutor(costs, roofline.kv_bytes_per_token * config.block_size),
        policy,
        config,
        clock=VirtualClock(),
        estimate=costs.step_seconds,
    )
    devices = f"{roofline.tensor_parallel} × " if roofline.tensor_parallel > 1 else ""
    header = engine_header(
        engine,
        model=roofline.shape.name,
        device=f"simulated: {devices}{roofline.hardware.name}",
        dtype=roofline.dtype,
        kv_bytes_per_token=roofline.kv_bytes_per_token,
        tensor_parallel=roofline.tensor_parallel,
    )
    return engine, header
