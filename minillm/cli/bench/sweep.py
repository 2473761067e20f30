"""`minillm bench sweep`: schedulers over request rates, in simulated time, on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from minillm.bench import (
    Cell,
    Failure,
    Goodput,
    Sweep,
    SystemSettings,
    WorkloadSettings,
    parse_limits,
    write_parquet,
)
from minillm.cli.chart import check_chart, save_chart
from minillm.cli.groups import grouped
from minillm.cli.shell import fail, notes, output, printable

_COLUMNS = {
    "served /s": "request_throughput",
    "good /s": "request_goodput",
    "TTFT p50": "median_ttft_ms",
    "TTFT p99": "p99_ttft_ms",
    "TPOT p99": "p99_tpot_ms",
    "ITL p99": "p99_itl_ms",
    "preempted": "num_preemptions",
}


@grouped
def sweep(
    schedulers: Annotated[list[str], typer.Option(help="Systems by name, e.g. vllm sarathi.")],
    rates: Annotated[list[float], typer.Option(help="Requests per second, e.g. 1 2 4.")],
    system: SystemSettings,
    *,
    workload: WorkloadSettings,
    goodput: Goodput = (),
    result_dir: Annotated[
        Path, typer.Option(help="Where results are kept: what is there is not computed again.")
    ] = Path("sweep-results"),
    processes: Annotated[int | None, typer.Option(min=1, help="By default one per core.")] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", help="Also write the rows to this Parquet file.")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Also draw them: a file ending in .html, .svg or .png.")
    ] = None,
) -> None:
    """Simulate every scheduler at every rate. An interrupted sweep goes on where it stopped."""
    if chart is not None:
        check_chart(chart)
    limits = parse_limits(goodput)
    cells = [
        Cell(scheduler=name, request_rate=rate, system=system, workload=workload, goodput=limits)
        for name, rate in product(dict.fromkeys(schedulers), dict.fromkeys(rates))
    ]
    asked = Sweep(cells, result_dir)
    _run(asked, processes)
    rows = list(asked)
    if rows:
        output().print(_table(rows))
    if rows and output_file is not None:
        write_parquet(rows, output_file)
        output().print(f"\nWritten: {output_file}", markup=False)
    if rows and chart is not None:
        from minillm.charts.sweep import sweep_chart

        save_chart(sweep_chart(rows), chart)
    if asked.failures:
        fail(f"{len(asked.failures)} of {len(cells)} cells failed; the others are kept")


def _run(asked: Sweep, processes: int | None) -> None:
    known = len(asked.cells) - len(asked.missing)
    if known:
        notes().print(f"{known} of {len(asked.cells)} cells are in {asked.folder} already")
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("cells"), TimeElapsedColumn())
    with Progress(*columns, console=notes()) as progress:
        task = progress.add_task("", total=len(asked.cells), completed=known)

        def done(cell: Cell, outcome: dict[str, Any] | Failure) -> None:
            progress.advance(task)
            if isinstance(outcome, Failure):
                where = f"{cell.scheduler} at {cell.request_rate:g} requests/s"
                progress.console.print(
                    f"{where}: {printable(outcome.error)}", style="red", markup=False
                )

        try:
            asked.run(processes=processes, on_cell=done)
        except KeyboardInterrupt:
            kept = len(asked.cells) - len(asked.missing)
            fail(
                f"interrupted; {kept} of {len(asked.cells)} cells are kept in {asked.folder}: the "
                "same command goes on from there"
            )


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), caption="latencies in ms")
    table.add_column("scheduler", no_wrap=True)
    table.add_column("rate /s", justify="right")
    shown = {
        title: key for title, key in _COLUMNS.items() if any(row[key] is not None for row in rows)
    }
    for title in shown:
        table.add_column(title, justify="right")
    last = None
    for row in rows:
        name, last = ("" if row["scheduler"] == last else row["scheduler"]), row["scheduler"]
        table.add_row(
            name,
            f"{float(row['request_rate']):g}",
            *(_number(row[key], key.endswith("_ms")) for key in shown.values()),
        )
    return table


def _number(value: float | None, is_ms: bool) -> str:
    if value is None:
        return "–"
    if isinstance(value, int) or (is_ms and value >= 100):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if is_ms else f"{value:,.2f}"
