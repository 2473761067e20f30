"""`minillm simulate`: a workload in simulated time, on any model and hardware."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from minillm.bench import Reporting, SystemSettings, WorkloadSettings
from minillm.cli.bench.report import report, serving
from minillm.cli.groups import grouped
from minillm.cli.options import RequestRate, SchedulerName
from minillm.cli.shell import busy, output


@grouped
def simulate(
    system: SystemSettings,
    scheduler: SchedulerName = "sarathi",
    *,
    workload: WorkloadSettings,
    request_rate: RequestRate = None,
    reporting: Reporting,
    record: Annotated[Path | None, typer.Option(help="Write the trace to this file.")] = None,
) -> None:
    """Serve a workload in simulated time and print what came of it."""
    requests = workload.requests(request_rate)
    with busy(f"Simulating {len(requests):,} requests"):
        run = system.run(
            requests, scheduler, seed=workload.seed, record=False if record is None else record
        )
    device = run.header.device.removeprefix("simulated: ")
    output().print(
        f"[bold]{run.header.scheduler}[/bold] · {run.header.model} on {device}, simulated"
    )
    settings = serving(run, requests, reporting, workload, request_rate, system.max_concurrency)
    report(run, settings, reporting)
    if record is not None:
        output().print(f"\nRecorded: minillm replay {record}", markup=False)
