"""What `simulate` and `bench serve` have in common: a run's settings and its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from minillm.bench import Reporting, WorkloadSettings, block, result, save
from minillm.cli.shell import fail, notes, output
from minillm.run_summary import RunSummary
from minillm.workload.spec import RequestSpec


def serving(
    run: RunSummary,
    requests: Sequence[RequestSpec],
    reporting: Reporting,
    workload: WorkloadSettings,
    request_rate: float | None,
    max_concurrency: int | None,
) -> dict[str, Any]:
    """The settings that a result begins with, by vLLM's names."""
    header = run.header
    return {
        "backend": "minillm",
        "label": reporting.label,
        "model_id": header.model,
        "device": header.device,
        "scheduler": header.scheduler,
        "num_prompts": len(requests),
        "request_rate": workload.own_rate if request_rate is None else request_rate,
        "burstiness": workload.gap_burstiness,
        "max_concurrency": max_concurrency,
    }


def report(
    run: RunSummary,
    settings: Mapping[str, Any],
    reporting: Reporting,
) -> None:
    """Print the result of `run` and save it if asked; what was refused is told once."""
    told = result(
        run,
        settings,
        goodput=reporting.limits,
        metrics=reporting.metrics,
        percentiles=reporting.percentiles,
    )
    output().print(block(told), markup=False)
    refused = [request.rejected for request in run.requests if request.rejected]
    if refused:
        notes().print(
            f"refused, {len(refused):,} requests, the first: {refused[0]}",
            style="red",
            markup=False,
        )
    if not run.num_steps:
        fail("no request could be served")
    if reporting.save_result:
        path = save(told, reporting, datetime.now())
        output().print(f"Saved: {path}", markup=False)
