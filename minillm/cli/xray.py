"""`minillm xray`: which memory each program of a kernel touches, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from minillm.cli.shell import busy, notes, output
from minillm.cli.xray_view import grid_view, program_view
from minillm.xray import (
    EXAMPLE,
    Case,
    XRay,
    XRayError,
    bundled_xray,
    case_of,
    load,
    save,
)
from minillm.xray import xray as take
from minillm.xray.cases import SMALLEST_TILE
from minillm.xray.records import ProgramId
from minillm.xray.run import WATCHED

_TILED = ("paged_attention", "csr_attention")


def xray(
    seq_lens: Annotated[
        list[int] | None,
        typer.Option(help="Tokens of each sequence, e.g. 40 22 20.", show_default=False),
    ] = None,
    query_lens: Annotated[
        list[int] | None,
        typer.Option(help="New ones of these; by default one each.", show_default=False),
    ] = None,
    block_size: Annotated[int, typer.Option(help="Tokens per KV block.")] = EXAMPLE.block_size,
    num_heads: Annotated[int, typer.Option(help="Query heads.")] = EXAMPLE.num_heads,
    num_kv_heads: Annotated[int, typer.Option(help="KV heads.")] = EXAMPLE.num_kv_heads,
    head_dim: Annotated[int, typer.Option(help="Elements of a head.")] = EXAMPLE.head_dim,
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = EXAMPLE.dtype,
    kv_cache_dtype: Annotated[
        str, typer.Option(help="auto, which is --dtype, or fp8.")
    ] = EXAMPLE.kv_cache_dtype,
    layout: Annotated[str, typer.Option(help="NHD, HND or packed.")] = EXAMPLE.layout,
    sliding_window: Annotated[
        int | None, typer.Option(help="Keys that a query sees, itself included.")
    ] = None,
    num_splits: Annotated[
        int | None, typer.Option(help="Programs that share one sequence's keys.")
    ] = None,
    tile_rows: Annotated[
        int | None, typer.Option(help="Rows (query, head) of a tile; by default as few as can be.")
    ] = None,
    tile_keys: Annotated[
        int | None, typer.Option(help="Keys per iteration; by default as few as can be.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the block tables and the contents.")] = 0,
    kernel: Annotated[
        str,
        typer.Option(
            help="paged_attention, csr_attention, simple_attention, write_kv, or your own: "
            "file.py:function."
        ),
    ] = "paged_attention",
    watch: Annotated[
        list[str] | None,
        typer.Option(
            help="The kernel's variables whose values are recorded; by default highest total.",
            show_default=False,
        ),
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Take the batch of a step of this recording instead.")
    ] = None,
    step: Annotated[int, typer.Option(help="Which step of it.")] = 0,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that it may take.")] = 120,
    program: Annotated[
        str | None, typer.Option(help="Show every access of this program, e.g. 0,1,0.")
    ] = None,
    save_to: Annotated[Path | None, typer.Option("--save", help="Write it to this file.")] = None,
    load_from: Annotated[
        Path | None, typer.Option("--load", help="Show this file; take none.")
    ] = None,
) -> None:
    """X-ray a kernel: run it under Triton's interpreter, and see which program reads which
    physical blocks, in which order, and what that asks of memory. Options beginning with
    `--seq-lens` say what it runs over; without them, two decodes and a chunk of a prompt."""
    shown = None if program is None else _program(program)
    if load_from is not None:
        seen = load(load_from)
    else:
        tile = SMALLEST_TILE if kernel in _TILED else None
        shape = {
            "num_heads": num_heads,
            "num_kv_heads": num_kv_heads,
            "head_dim": head_dim,
            "dtype": dtype,
            "kv_cache_dtype": kv_cache_dtype,
            "layout": layout,
            "sliding_window": sliding_window,
            "num_splits": num_splits,
            "tile_rows": tile_rows or tile,
            "tile_keys": tile_keys or tile,
            "seed": seed,
        }
        if trace is not None:
            from minillm.trace import Trace

            case = case_of(Trace.load(trace), step, **shape)
        else:
            if seq_lens is None and query_lens is None:
                query_lens = list(EXAMPLE.query_lens)
            case = Case(
                seq_lens=tuple(seq_lens or EXAMPLE.seq_lens),
                query_lens=tuple(query_lens or ()),
                block_size=block_size,
                **shape,
            )
        seen = _taken(case, kernel, watch or WATCHED, timeout)
    output().print(grid_view(seen) if shown is None else program_view(seen, shown))
    if save_to is not None:
        save(seen, save_to)
        output().print(f"\nSaved: minillm xray --load {save_to}", markup=False)


def _taken(case: Case, kernel: str, watch: Sequence[str], timeout: float) -> XRay:
    """Taken here, or the one that comes with minillm where it is the same and triton is absent."""
    if find_spec("triton") is None:
        seen = bundled_xray()
        if (case, kernel) != (seen.case, "paged_attention"):
            raise XRayError(
                "this takes the triton package, which exists for Linux; without options, "
                "minillm xray shows one that was taken before"
            )
        notes().print("triton is not installed: this X-ray comes with minillm.", style="yellow")
        return seen
    with busy(f"Interpreting {kernel}"):
        return take(case, kernel=kernel, watch=watch, timeout=timeout)


def _program(text: str) -> ProgramId:
    try:
        x, y, z = map(int, text.split(","))
    except ValueError:
        raise XRayError(
            f"a program is three whole numbers with commas, e.g. 0,1,0; got {text!r}"
        ) from None
    return x, y, z
