"""Serving a benchmark's requests on a real engine, in this process and on its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from minillm.config import ConfigError
from minillm.events import Step
from minillm.run_summary import RunSummary
from minillm.workload.driver import WorkloadDriver
from minillm.workload.spec import RequestSpec

if TYPE_CHECKING:
    from minillm.llm import LLM


def serve(
    llm: LLM,
    requests: Iterable[RequestSpec],
    *,
    max_concurrency: int | None = None,
    num_warmups: int = 0,
    on_step: Callable[[Step | None], None] = lambda step: None,
) -> RunSummary:
    """Serve `requests`, their times counted from now, and return the figures.

    With `max_concurrency` the loop is closed: a request is sent when fewer are being served. The
    figures are of these requests alone, whatever `llm` serves before or after. The first
    `num_warmups` requests are served once more beforehand, all at once and not counted. `on_step`
    hears of every other step (see `WorkloadDriver.step`). Raises ConfigError for more warmups than
    requests.
    """
    engine, requests = llm.engine, list(requests)
    if num_warmups > len(requests):
        raise ConfigError(
            f"num_warmups {num_warmups:,} is more than the {len(requests):,} requests there are to "
            "warm up with. Lower it."
        )
    warmups = WorkloadDriver(engine, _from_now(llm, requests[:num_warmups], at_once=True))
    while not warmups.finished:
        warmups.step()
    summary = RunSummary(engine, llm.trace.header)
    driver = WorkloadDriver(engine, _from_now(llm, requests), max_concurrency=max_concurrency)
    try:
        while not driver.finished:
            on_step(driver.step())
    finally:
        summary.close(engine.pending_events)
    return summary


def _from_now(
    llm: LLM, requests: Iterable[RequestSpec], *, at_once: bool = False
) -> list[RequestSpec]:
    now = llm.engine.clock.now / 1e9
    return [
        replace(spec, arrival_time=now + (0 if at_once else spec.arrival_time)) for spec in requests
    ]


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
