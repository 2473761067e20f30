"""`minillm trace FILE`: what a recording holds, checked and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from minillm.cli.chart import check_chart, save_chart
from minillm.cli.figures import figures
from minillm.cli.shell import output, printable
from minillm.trace.records import Header
from minillm.trace.trace import Trace


def check(
    file: Annotated[Path, typer.Argument(help="A trace file.")],
    chart: Annotated[
        Path | None,
        typer.Option(help="Also draw what the KV memory was good for: .html, .svg or .png."),
    ] = None,
    perfetto: Annotated[
        Path | None, typer.Option(help="Also write a Chrome trace, for ui.perfetto.dev.")
    ] = None,
) -> None:
    """Check a recording from end to end and print its figures."""
    if chart is not None:
        check_chart(chart)
    recording = Trace.load(file)
    console = output()
    console.print(_header(recording.header))
    console.print()
    console.print(f"Sound: {_extent(recording)}", markup=False)
    for note in recording.notes:
        console.print(printable(f"Note on step {note.note:,}: {note.text}"), markup=False)
    if recording.steps:
        console.print()
        console.print(figures(recording.metrics()))
        console.print(_memory(recording))
    if chart is not None:
        from minillm.charts.memory import memory_chart

        console.print()
        save_chart(memory_chart(recording), chart)
    if perfetto is not None:
        recording.to_perfetto(perfetto)
        console.print(f"\nOpen {perfetto} in ui.perfetto.dev.", markup=False)


def _header(header: Header) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    rows = {
        "scene": " · ".join(filter(None, (header.scene, header.title))),
        "model": " · ".join(filter(None, (header.model, header.device, header.dtype))),
        "scheduler": f"{header.scheduler}, at most {header.max_num_seqs:,} sequences and "
        f"{header.max_num_batched_tokens:,} tokens a step",
        "KV cache": f"{header.kv_cache}, {header.num_blocks:,} blocks of {header.block_size} tokens"
        + (", prefix caching" if header.prefix_caching else ""),
        "cut from": f"a longer run, at its step {header.first_step:,}; figures are those of the "
        "stretch"
        if header.first_step
        else "",
        "made with": f"minillm {header.version}, seed {header.seed}",
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, Text(printable(value)))
    return table


def _memory(recording: Trace) -> str:
    """What the KV slots were good for; kinds that never came up are left out."""
    shares = recording.memory().shares()
    met = (f"{kind} {share:.1f} %" for kind, share in shares.items() if share >= 0.05)
    return f"KV slots: {', '.join(met)}"


def _extent(recording: Trace) -> str:
    if recording.truncated:
        end = "cut off within its last line"
    else:
        end = recording.closing.closing if recording.closing else "without a closing record"
    return (
        f"{len(recording.steps):,} steps, {len(recording.requests):,} requests, "
        f"{recording.duration:.3f} s; {end}. Every step follows from those before it."
    )
