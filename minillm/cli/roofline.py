"""`minillm roofline`: a model's operators on a device, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from minillm.cli.chart import check_chart, save_chart
from minillm.cli.shell import output
from minillm.costs import cost_model
from minillm.costs.cost_model import RooflineCostModel
from minillm.costs.hardware import GIB
from minillm.costs.roofline import Operator, operators

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def roofline(
    model: Annotated[
        str, typer.Argument(help="A published model, pocket, a folder with config.json, a hub id.")
    ],
    hardware: Annotated[str, typer.Option(help="A device's name, e.g. h100-sxm.")] = "a100-80gb",
    batch: Annotated[int, typer.Option(min=1, help="Sequences in the batch.")] = 1,
    seq_len: Annotated[int, typer.Option(min=1, help="Tokens of each sequence.")] = 2048,
    tensor_parallel: Annotated[int, typer.Option(min=1, help="Devices to split it over.")] = 1,
    chart: Annotated[
        Path | None, typer.Option(help="Also draw it: a file ending in .html, .svg or .png.")
    ] = None,
) -> None:
    """Print what each operator of one layer computes and moves, and what bounds it: as
    LLM-Viewer counts, and as a fused causal kernel does it. Then sizes and latencies."""
    if chart is not None:
        check_chart(chart)
    costs = cost_model(model, hardware, tensor_parallel)
    device, console = costs.hardware, output()
    console.print(
        f"[bold]{costs.shape.name}[/bold] on {tensor_parallel} × {device.name}: "
        f"{device.flops / 1e12:,.0f} TFLOPS, {device.bandwidth / 1e9:,.0f} GB/s; above "
        f"{device.ridge:,.0f} operations per byte it computes longer than it reads\n"
        f"one layer{' of one device' if tensor_parallel > 1 else ''}, fp16, batch {batch}, "
        f"{seq_len:,} tokens each\n"
    )
    for fused, title in ((False, "all scores, written to memory"), (True, "fused and causal")):
        for stage in ("prefill", "decode"):
            rows = operators(costs.device_shape, stage, batch=batch, seq_len=seq_len, fused=fused)
            console.print(_table(f"{stage}, {title}", rows, costs))
    console.print(_sizes(costs, batch, seq_len))
    if chart is not None:
        _draw(costs, batch, seq_len, chart)


def _table(title: str, rows: list[Operator], costs: RooflineCostModel) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("operator")
    for name in ("OPs", "bytes", "OPs/byte"):
        table.add_column(name, justify="right")
    table.add_column("bound by")
    table.add_column("µs at best", justify="right")
    for row in rows:
        bound = row.bound(costs.hardware)
        decimals = sum(row.intensity < limit for limit in (100, 1000))
        table.add_row(
            row.name,
            _short(row.ops),
            f"{_short(row.bytes)}B",
            f"{row.intensity:,.{decimals}f}",
            f"[{'green' if bound == 'compute' else 'blue'}]{bound}[/]",
            f"{row.seconds(costs.hardware) * 1e6:,.1f}",
        )
    total = sum(row.seconds(costs.hardware) for row in rows)
    table.add_row("all", "", "", "", "", f"{total * 1e6:,.1f}", style="bold")
    table.add_row()
    return table


def _sizes(costs: RooflineCostModel, batch: int, seq_len: int) -> Table:
    shape = costs.shape
    weights = shape.weight_bytes(costs.dtype_bytes)
    cache = batch * seq_len * costs.kv_bytes_per_token
    # The widest activations of a prefill: the MLP's input, its two halves.
    widest = batch * seq_len * (shape.hidden_size + 2 * shape.intermediate_size)
    peak = weights + cache + widest * costs.dtype_bytes
    room = costs.hardware.memory * costs.tensor_parallel
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("model", f"{weights / GIB:,.2f} GiB", f"{shape.num_parameters:,} parameters")
    table.add_row("KV cache", f"{cache / GIB:,.2f} GiB", f"{costs.kv_bytes_per_token:,} per token")
    fits = "fits" if peak <= room else "[red]does not fit[/red]"
    table.add_row("peak memory", f"{peak / GIB:,.2f} GiB", f"of {room / GIB:,.0f} GiB: {fits}")
    for stage, step in (
        ("prefill", [(seq_len, 0)] * batch),
        ("decode", [(1, seq_len)] * batch),
    ):
        rows = operators(costs.device_shape, stage, batch=batch, seq_len=seq_len, fused=True)
        ideal = shape.num_layers * sum(row.seconds(costs.hardware) for row in rows)
        seconds = costs.step_seconds(step)
        table.add_row(
            f"{stage} step",
            f"{seconds * 1e3:,.2f} ms",
            f"expected, with what is achieved; the roofline alone {ideal * 1e3:,.2f} ms",
        )
    return table


def _draw(costs: RooflineCostModel, batch: int, seq_len: int, path: Path) -> None:
    """The operators of one layer on the roof of one device, fused and causal."""
    from minillm.charts.roofline import roofline_chart

    device = costs.hardware
    rows = [
        {
            "stage": stage,
            "name": row.name,
            "ops": row.ops,
            "bytes": row.bytes,
            "seconds": row.seconds(device),
        }
        for stage in ("prefill", "decode")
        for row in operators(costs.device_shape, stage, batch=batch, seq_len=seq_len, fused=True)
    ]
    title = (
        f"{costs.shape.name} on {costs.tensor_parallel} × {device.name}, batch {batch}, "
        f"{seq_len:,} tokens"
    )
    save_chart(roofline_chart(title, rows, device.flops, device.bandwidth), path)


def _short(value: float) -> str:
    for size, unit in _UNITS:
        if value >= size:
            scaled = value / size
            return f"{scaled:.0f}{unit}" if scaled >= 100 else f"{scaled:.1f}{unit}"
    return f"{value:.0f}"
