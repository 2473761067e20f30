"""`minillm trace compare A B …`: the same requests under different schedulers, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from minillm.bench.settings import parse_limits
from minillm.cli.chart import check_chart, save_chart
from minillm.cli.figures import number
from minillm.cli.shell import output, printable
from minillm.trace.compare import Comparison, Row
from minillm.trace.trace import Trace


def compare(
    files: Annotated[list[Path], typer.Argument(help="Two to four traces of the same requests.")],
    differences: Annotated[
        int, typer.Option(min=0, help="Print that many of the largest differences.")
    ] = 8,
    goodput: Annotated[
        list[str] | None,
        typer.Option(help="Limits in ms that a good request meets, e.g. ttft:200 tpot:50."),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option(help="Also draw the distributions: .html, .svg or .png."),
    ] = None,
) -> None:
    """Compare recordings of the same requests: figures with the best of each row, and what
    happened sooner in which."""
    if chart is not None:
        check_chart(chart)
    found = Comparison([Trace.load(file) for file in files])
    console = output()
    console.print(_table(found, found.table(parse_limits(goodput or ()))))
    told = found.differences(differences)
    if told:
        console.print()
    for difference in told:
        console.print(printable(difference.told(found.names)), markup=False)
    if chart is not None:
        from minillm.charts.compare import ecdf_chart

        console.print()
        save_chart(ecdf_chart(found), chart)


def _table(found: Comparison, rows: list[Row]) -> Table:
    """Runs across, metrics down; the best of a row is marked."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), caption="* best of its row")
    table.caption_justify = "left"
    table.add_column("")
    for name in found.names:
        table.add_column(Text(printable(name)), justify="right")
    for row in rows:
        cells = [
            f"[bold]{number(value)} *[/bold]" if run in row.winners else f"{number(value)}  "
            for run, value in enumerate(row.values)
        ]
        table.add_row(_words(row.metric), *cells)
    return table


def _words(metric: str) -> str:
    """`p99_ttft_ms` → "p99 TTFT, ms"."""
    if not metric.endswith("_ms"):
        return metric.replace("_", " ") + ", per s"
    statistic, name, _ = metric.split("_")
    return f"{statistic} {name.upper()}, ms"
