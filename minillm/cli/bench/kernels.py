"""`minillm bench kernels`: the attention kernels against memory, torch and others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from minillm.cli import options
from minillm.cli.chart import check_chart, save_chart
from minillm.cli.shell import busy, notes, output

if TYPE_CHECKING:
    from minillm.bench.kernels import Result, Row, Verdict

_COLOURS = {"met": "green", "missed": "red", "not measured": "yellow"}


def kernels(
    device: options.Device = "auto",
    seconds: Annotated[
        float, typer.Option(min=0, help="Begin nothing new after this time; the rest is told.")
    ] = 480.0,
    output_file: Annotated[
        Path | None, typer.Option("--output", help="Also write the figures to this JSON file.")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Also draw them: a file ending in .html, .svg or .png.")
    ] = None,
) -> None:
    """Measure attention over paged keys and writing into the cache, beside a copy of memory, torch
    SDPA, FlexAttention and FlashInfer, in one run. On a CPU, one thread of it in its CPU time."""
    if chart is not None:
        check_chart(chart)
    with busy("Loading torch"):
        import torch

        from minillm.bench.kernels import bench_kernels, num_rows
        from minillm.execution.loader import find_device

        target = find_device(device)
    if target.type == "cpu":
        torch.set_num_threads(1)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=notes()) as progress:
        task = progress.add_task("", total=num_rows(target))

        def done(row: Row) -> None:
            progress.update(task, advance=1, description=f"{row.case} · {row.contender}")

        result = bench_kernels(target, seconds=seconds, on_row=done)
    _print(result)
    if output_file is not None:
        result.save(output_file)
        output().print(f"\nWritten: {output_file}", markup=False)
    if chart is not None:
        from minillm.charts.kernels import kernels_chart

        save_chart(kernels_chart(result.plain()), chart)


def _print(result: Result) -> None:
    console, machine = output(), result.machine
    software = f"torch {machine['torch']}, triton {machine['triton']}"
    console.print(
        f"[bold]{machine['device']}[/bold], {software}: a copy moves "
        f"{result.copy_bandwidth / 1e9:,.1f} GB/s, read and written\n"
    )
    console.print(_figures(result.rows))
    console.print()
    console.print(_goals(result.verdicts))


def _figures(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("batch, by", no_wrap=True)
    for title in ("µs", "p10, p90", "GB/s", "of copy", "TFLOP/s", "× time"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    last = None
    for row in rows:
        if row.case != last:
            last = row.case
            table.add_row(f"[bold]{last}[/bold]")
        table.add_row(
            f"  {row.contender}",
            _number(row.median_us, ",.0f" if (row.median_us or 0) >= 1000 else ",.1f"),
            _spread(row),
            _number(row.gb_per_s, ",.1f"),
            _number(row.of_copy, ".0%"),
            _number(row.tflops, ",.3g"),
            _number(row.times_first, ",.2f"),
            row.remark,
        )
    return table


def _spread(row: Row) -> str:
    """How far the tenth and the ninetieth percentile lie from the median."""
    if row.low_us is None or row.high_us is None or not row.median_us:
        return ""
    return f"{row.low_us / row.median_us - 1:+.0%}, {row.high_us / row.median_us - 1:+.0%}"


def _goals(verdicts: list[Verdict]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("goal")
    table.add_column("reached", justify="right")
    table.add_column("")
    for verdict in verdicts:
        word = f"[{_COLOURS[verdict.word]}]{verdict.word}[/]"
        table.add_row(str(verdict.goal), _number(verdict.reached, ".0%"), word)
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
