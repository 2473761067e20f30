"""Serving a benchmark's requests on a real engine, in this process and on its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from minillm.events import Step
from minillm.simulation import RunSummary
from minillm.workload.driver import WorkloadDriver
from minillm.workload.spec import RequestSpec

if TYPE_CHECKING:
    from minillm.llm import LLM


def serve(
    llm: LLM,
    requests: Iterable[RequestSpec],
    *,
    max_concurrency: int | None = None,
    on_step: Callable[[Step | None], None] = lambda step: None,
) -> RunSummary:
    """Serve `requests`, their times counted from now, and return the figures.

    With `max_concurrency` the loop is closed: a request is sent when fewer are being served. The
    figures are of these requests alone, whatever `llm` served before. `on_step` hears of every
    step (see `WorkloadDriver.step`).
    """
    engine = llm.engine
    now = engine.clock.now / 1e9
    shifted = [replace(spec, arrival_time=spec.arrival_time + now) for spec in requests]
    summary = RunSummary(engine, llm.trace.header)
    driver = WorkloadDriver(engine, shifted, max_concurrency=max_concurrency)
    while not driver.finished:
        on_step(driver.step())
    summary.close(engine.pending_events)
    return summary


def sampled(
    requests: Iterable[RequestSpec], temperature: float, ignore_eos: bool
) -> list[RequestSpec]:
    """`requests` with these sampling settings. Those given by length ignore the end anyway."""
    return [
        replace(
            spec,
            sampling=replace(spec.sampling, temperature=temperature, ignore_eos=ignore_eos),
        )
        for spec in requests
    ]
