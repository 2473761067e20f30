"""`minillm scenes`: what there is to see."""

from __future__ import annotations

from rich.table import Table

from minillm.cli.shell import output
from minillm.workload.scenes import SCENES


def scenes() -> None:
    """List the scenes: curated workloads, each with the question it asks."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for column in ("scene", "the question it asks", "starts with", "then try"):
        table.add_column(column)
    for scene in SCENES.values():
        table.add_row(scene.name, scene.question, scene.scheduler, scene.try_next)
    console = output()
    console.print(table)
    console.print("minillm run SCENE --scheduler NAME", style="dim")
