"""`minillm trace …`: recordings, checked, compared, cut, annotated and exported."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from minillm.cli.groups import Several
from minillm.cli.trace.blame import blame
from minillm.cli.trace.check import check
from minillm.cli.trace.compare import compare
from minillm.cli.trace.edit import note, trim
from minillm.cli.trace.export import export


class _Checked(TyperGroup):
    """`minillm trace FILE …` is `minillm trace check FILE …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["check", *args]
        return super().parse_args(ctx, args)


trace = typer.Typer(
    cls=_Checked,
    help="Check a recording and print its figures (`minillm trace FILE`), or do more with it.",
    no_args_is_help=True,
)
trace.command("check")(check)
trace.command("blame")(blame)
trace.command("compare", cls=Several)(compare)
trace.command("trim")(trim)
trace.command("note")(note)
trace.command("export")(export)
