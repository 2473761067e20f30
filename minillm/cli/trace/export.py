"""`minillm trace export`: the figures of a recording as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from minillm.cli.shell import fail, output
from minillm.trace.tables import save_table
from minillm.trace.trace import Trace


def export(
    file: Annotated[Path, typer.Argument(help="A trace file.")],
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="As Parquet.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(help="In this folder; by default beside FILE.", show_default=False),
    ] = None,
) -> None:
    """Write a table of the requests and one of the steps: NAME-requests and NAME-steps."""
    kinds = [kind for kind, wanted in (("csv", csv), ("parquet", parquet)) if wanted]
    if not kinds:
        fail("say as what: --csv, --parquet, or both")
    trace = Trace.load(file)
    tables = {"requests": trace.requests_table(), "steps": trace.steps_table()}
    for name, rows in tables.items():
        for kind in kinds:
            path = (to or file.parent) / f"{file.stem}-{name}.{kind}"
            save_table(rows, path)
            output().print(f"Saved: {path}, {len(rows):,} rows", markup=False, soft_wrap=True)
