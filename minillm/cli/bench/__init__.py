"""`minillm bench …`: how fast, how much, and under which scheduler; and the kernels alone."""

from __future__ import annotations

import typer

from minillm.cli.bench.capacity import capacity
from minillm.cli.bench.engine import engine
from minillm.cli.bench.kernels import kernels
from minillm.cli.bench.overhead import overhead
from minillm.cli.bench.serve import serve
from minillm.cli.bench.sweep import sweep
from minillm.cli.groups import Several

bench = typer.Typer(
    help="Measure: a real engine, the largest rate that meets limits, schedulers over rates, "
    "the kernels.",
    no_args_is_help=True,
)
bench.command("serve", cls=Several)(serve)
bench.command("capacity", cls=Several)(capacity)
bench.command("sweep", cls=Several)(sweep)
bench.command("kernels")(kernels)
bench.command("engine")(engine)
bench.command("overhead")(overhead)
