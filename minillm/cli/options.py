"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help='"pocket" (bundled), a local model folder, or a hub id.')]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same requests and draws.")]
BlockSize = Annotated[int | None, typer.Option(min=1, help="Tokens per KV block.")]
NumBlocks = Annotated[int | None, typer.Option(min=1, help="KV blocks in the pool.")]
Budget = Annotated[int | None, typer.Option(min=1, help="Token budget of a step.")]
MaxSeqs = Annotated[int | None, typer.Option(min=1, help="Sequences in a batch at most.")]
SchedulerName = Annotated[str, typer.Option("--scheduler", help="A system's name, e.g. vllm.")]
RequestRate = Annotated[
    float | None,
    typer.Option(
        help="Requests per second, inf for all at once; by default the data set's own times, where "
        "it has any, else inf.",
        show_default=False,
    ),
]
Preemption = Annotated[
    str, typer.Option(help="What happens to one that must give way: recompute or swap.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads; by default what suits this machine.")
]
