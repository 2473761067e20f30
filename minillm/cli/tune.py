"""`minillm tune`: the attention kernel's tiles, tried on this GPU and kept for runs to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from minillm.cli import options
from minillm.cli.shell import busy, fail, output
from minillm.costs.shapes import get_model

if TYPE_CHECKING:
    from minillm.kernels.autotune import Tuned

_MODELS = ["llama-3-8b", "qwen3-0.6b"]  # whose heads most models of today have


def tune(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Whose heads to tune for: published models, pocket, folders with config.json, hub "
            f"ids. By default {' '.join(_MODELS)}."
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Of queries and cache.")] = "bfloat16",
    seconds: Annotated[
        float, typer.Option(min=0, help="For each model's decodes, and again for its prefills.")
    ] = 30.0,
    device: options.Device = "auto",
) -> None:
    """Try tile sizes of the attention kernel on this GPU and keep the fastest for later runs, which
    never tune by themselves."""
    shapes = [get_model(name) for name in model or _MODELS]
    with busy("Loading torch"):
        from minillm.execution.loader import DTYPES, find_device
        from minillm.kernels.synthetic import Heads
        from minillm.kernels.tile_cache import cache_folder
        from minillm.kernels.tiles import KINDS
        from minillm.kernels.tune import tune as tune_tiles

        target = find_device(device)
    if dtype not in DTYPES:
        fail(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}.")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("model", "batch", "tiles", "µs", "rule's µs", "tried"):
        table.add_column(title)
    for shape in shapes:
        heads = Heads(shape.num_heads, shape.num_kv_heads, shape.head_dim)
        for kind in KINDS:
            with busy(f"Tuning {shape.name}, {heads}: {kind}"):
                tuned = tune_tiles(kind, heads, DTYPES[dtype], target, deadline=seconds)
            table.add_row(shape.name, kind, *_cells(tuned))
    output().print(table)
    output().print(f"\nKept in {cache_folder()}", markup=False, soft_wrap=True)


def _cells(tuned: Tuned) -> tuple[str, ...]:
    times = (
        "" if seconds is None else f"{seconds * 1e6:,.1f}"
        for seconds in (tuned.seconds, tuned.rule_seconds)
    )
    return (str(tuned.tiles), *times, f"{tuned.num_tried} of {tuned.num_candidates}")
