"""Options that several commands have, besides those of `minillm.bench`."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help='"pocket" (bundled), a local model folder, or a hub id.')]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
SchedulerName = Annotated[str, typer.Option("--scheduler", help="A system's name, e.g. vllm.")]
RequestRate = Annotated[
    float | None,
    typer.Option(
        help="Requests per second, inf for all at once; by default the data set's own times, where "
        "it has any, else inf.",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads; by default what suits this machine.")
]
