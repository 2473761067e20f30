"""`minillm bench capacity`: the largest request rate that meets an SLO."""

from __future__ import annotations

import math
from typing import Annotated

import typer
from rich.table import Table

from minillm.bench import Goodput, Probe, Slo, SystemSettings, WorkloadSettings, parse_limits
from minillm.bench import capacity as search
from minillm.bench.search import DEFAULT_ATTAINMENT, STATISTICS
from minillm.bench.settings import Help
from minillm.cli.groups import grouped
from minillm.cli.options import SchedulerName
from minillm.cli.shell import busy, notes, output


@grouped
def capacity(
    system: SystemSettings,
    scheduler: SchedulerName = "sarathi",
    *,
    workload: WorkloadSettings,
    slo: Annotated[
        tuple[str, ...],
        Help("Limits on statistics, e.g. p99_itl:200 median_queue:2000 (ms)."),
    ] = (),
    goodput: Goodput = (),
    attainment: Annotated[
        float | None,
        typer.Option(
            help="The share of requests that must meet those of --goodput; by default "
            f"{DEFAULT_ATTAINMENT}."
        ),
    ] = None,
    start_rate: Annotated[float, typer.Option(help="The first rate tried, requests/s.")] = 1.0,
    tolerance: Annotated[
        float, typer.Option(help="Stop when the answer is known to this share of it.")
    ] = 0.05,
) -> None:
    """Search for the largest request rate that meets an SLO, in simulated time."""
    wanted = Slo(
        limits=parse_limits(slo, STATISTICS, "limit"),
        goodput=parse_limits(goodput),
        attainment=attainment,
    )

    def show(probe: Probe) -> None:
        notes().print(f"{probe.rate:,.3g} requests/s: {'met' if probe.met else 'not met'}")

    with busy(f"Searching with {scheduler}"):
        found = search(
            workload.requests,
            wanted,
            start=start_rate,
            tolerance=tolerance,
            on_probe=show,
            scheduler=scheduler,
            seed=workload.seed,
            **system.arguments(),
        )
    console = output()
    console.print(_table(found.probes))
    if found.rate == 0:
        console.print(f"\nNo rate meets it: {wanted}.")
    elif math.isinf(found.rate):
        console.print(f"\nEvery rate tried meets it: {wanted}.")
    else:
        console.print(f"\n[bold]{found.rate:,.3g} requests/s[/bold] meet it: {wanted}.")


def _table(probes: tuple[Probe, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("requests/s", justify="right")
    for name in probes[0].found:
        table.add_column(name if name == "attainment" else f"{name}, ms", justify="right")
    table.add_column("")
    for probe in sorted(probes, key=lambda probe: probe.rate):
        cells = [
            f"{value:.1%}" if name == "attainment" else f"{value:,.1f}"
            for name, value in probe.found.items()
        ]
        met = "[green]met[/]" if probe.met else "[red]not met[/]"
        table.add_row(f"{probe.rate:,.3g}", *cells, met)
    return table
