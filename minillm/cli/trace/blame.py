"""`minillm trace blame`: who waited for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from minillm.cli.chart import check_chart, save_chart
from minillm.cli.shell import output, printable
from minillm.trace.lives import KINDS, Lives
from minillm.trace.trace import Trace


def blame(
    file: Annotated[Path, typer.Argument(help="A trace file.")],
    most: Annotated[int, typer.Option(min=1, help="Show that many requests and pairs.")] = 12,
    lives: Annotated[
        Path | None, typer.Option(help="Also draw a bar of each life: .html, .svg or .png.")
    ] = None,
    matrix: Annotated[
        Path | None, typer.Option(help="Also draw who waited for whom: .html, .svg or .png.")
    ] = None,
) -> None:
    """Where each request's time went, from arrival to end, and who cost whom most of it."""
    for chart in filter(None, (lives, matrix)):
        check_chart(chart)
    found = Trace.load(file).lives()
    console = output()
    console.print(_lives(found, most))
    cells = sorted(found.matrix().cells, key=lambda cell: -cell.ns)[:most]
    if cells:
        console.print()
    for cell in cells:
        words = f"{cell.waiter} lost {cell.ns / 1e6:,.1f} ms to {cell.culprit}"
        console.print(printable(f"{words}, worst in step {cell.step:,}"), markup=False)
    if lives is not None:
        from minillm.charts.blame import life_chart

        save_chart(life_chart(found), lives)
    if matrix is not None:
        from minillm.charts.blame import MOST_CELLS, matrix_chart

        save_chart(matrix_chart(found.matrix(MOST_CELLS)), matrix)


def _lives(found: Lives, most: int) -> Table:
    """The longest lives, ms of each kind; kinds that never came up are left out."""
    longest = sorted(found.requests.values(), key=lambda life: -life.ns)[:most]
    spent = [
        {kind: sum(parts.values()) for kind, parts in life.totals().items()} for life in longest
    ]
    kinds = [kind for kind in KINDS if any(kind in each for each in spent)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("request, ms")
    for name in (*kinds, "in all"):
        table.add_column(name, justify="right")
    for life, each in zip(longest, spent, strict=True):
        parts = [f"{each[kind] / 1e6:,.1f}" if kind in each else "" for kind in kinds]
        table.add_row(Text(printable(life.id)), *parts, f"{life.ns / 1e6:,.1f}")
    return table
