"""`minillm bench engine`: minillm against transformers' own serving, in one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from minillm.cli import options
from minillm.cli.chart import check_chart, save_chart
from minillm.cli.shell import busy, fail, notes, output

if TYPE_CHECKING:
    from minillm.bench.engine import Row, Verdict


def engine(
    device: options.Device = "auto",
    threads: options.Threads = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each contender.")] = 5,
    quick: Annotated[bool, typer.Option(help="On a GPU: 64 requests in place of 256.")] = False,
    result: Annotated[Path | None, typer.Option(help="Write the result to this .json.")] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Also draw it: a file ending in .html, .svg or .png.")
    ] = None,
) -> None:
    """Serve the same requests with minillm and with transformers, turn by turn, and compare."""
    if chart is not None:
        check_chart(chart)
    with busy("Loading torch"):
        import torch
        from transformers.utils.logging import disable_progress_bar

        from minillm.bench.engine import bench_engine, num_runs
        from minillm.threads import set_threads

        disable_progress_bar()
        set_threads(threads)
    named = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    target = torch.device(named)
    if quick and target.type != "cuda":
        fail("--quick is for a GPU; on a CPU lower --rounds")
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("runs"), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=notes()) as progress:
        task = progress.add_task("", total=num_runs(target, rounds))

        def done(case: str, contender: str, tokens_per_s: float) -> None:
            told = f"{case}: {contender}, {tokens_per_s:,.0f} tokens/s"
            progress.update(task, advance=1, description=told)

        found = bench_engine(target, rounds=rounds, quick=quick, on_run=done)
    console = output()
    about = found.machine
    console.print(
        f"[bold]{about['device']}[/bold] · {found.dtype} · torch {about['torch']} · transformers "
        f"{about['transformers']} · {rounds} rounds, {found.clock} time\n"
    )
    console.print(_table(found.rows))
    console.print()
    console.print(_goals(found.verdicts))
    if result is not None:
        found.save(result)
        console.print(f"\nSaved: {result}", markup=False)
    if chart is not None:
        from minillm.charts.engine_speed import engine_speed_chart

        save_chart(engine_speed_chart(found.plain()), chart)


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("served", "by"):
        table.add_column(title)
    for title in ("tokens/s", "lowest", "highest"):
        table.add_column(title, justify="right")
    for row in rows:
        speeds = (row.tokens_per_s, min(row.rounds), max(row.rounds))
        table.add_row(row.case, row.contender, *(f"{speed:,.0f}" for speed in speeds))
    return table


def _goals(verdicts: Sequence[Verdict]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("minillm over", "on"):
        table.add_column(title)
    for title in ("reached", "goal"):
        table.add_column(title, justify="right")
    table.add_column("")
    for each in verdicts:
        numbers = ("–" if n is None else f"{n:.2f}" for n in (each.reached, each.least))
        table.add_row(each.than, each.case, *numbers, each.word)
    return table
