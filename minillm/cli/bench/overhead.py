"""`minillm bench overhead`: what recording, deciding and preparing cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from minillm.cli.chart import check_chart, save_chart
from minillm.cli.shell import busy, notes, output

if TYPE_CHECKING:
    from minillm.bench.overhead import Overhead


def overhead(
    pairs: Annotated[int, typer.Option(min=1, help="Recorded and unrecorded runs.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="Steps timed at each batch size.")] = 100,
    result: Annotated[Path | None, typer.Option(help="Write the result to this .json.")] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Also draw it: a file ending in .html, .svg or .png.")
    ] = None,
) -> None:
    """Measure what the engine's own work costs beside the model's, on this CPU."""
    if chart is not None:
        check_chart(chart)
    with busy("Loading torch"):
        from minillm.bench.overhead import measure_overhead
        from minillm.bench.overhead.step_cost import RUNNING
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes()) as progress:
        task = progress.add_task("", total=pairs + len(RUNNING))
        found = measure_overhead(pairs, steps, lambda: progress.advance(task))
    console = output()
    console.print(f"[bold]{found.machine['device']}[/bold] · torch {found.machine['torch']}\n")
    console.print(_steps(found))
    console.print()
    for what, reached, most in found.goals:
        number = "{:.2f}" if most >= 1 else "{:.1%}"
        told = f"{number.format(reached)} of at most {number.format(most)}"
        word = "met" if reached <= most else "missed"
        console.print(f"{told}, {word}: {what}", markup=False)
    if result is not None:
        found.save(result)
        console.print(f"\nSaved: {result}", markup=False)
    if chart is not None:
        from minillm.charts.overhead import overhead_chart

        save_chart(overhead_chart(found.plain()), chart)


def _steps(found: Overhead) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), caption="µs per step of decodes")
    for title in ("running", "scheduler", "preparation", "whole step", "per request"):
        table.add_column(title, justify="right")
    for step in found.steps:
        seconds = (step.scheduling, step.preparation, step.whole)
        per_request = step.judged / step.running * 1e6
        table.add_row(
            f"{step.running:,}", *(f"{s * 1e6:,.0f}" for s in seconds), f"{per_request:.1f}"
        )
    return table
