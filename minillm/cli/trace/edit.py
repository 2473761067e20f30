"""`minillm trace trim` and `minillm trace note`: a recording made ready to be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from minillm.cli.shell import output, printable
from minillm.trace.trace import Trace

_Source = Annotated[Path, typer.Argument(help="A trace file.")]


def trim(
    file: _Source,
    to: Annotated[Path, typer.Argument(help="Where the stretch is saved.")],
    first: Annotated[int, typer.Option(min=0, help="Its first step.")] = 0,
    last: Annotated[
        int | None, typer.Option(min=0, help="Its last step; by default that of the recording.")
    ] = None,
) -> None:
    """Cut a stretch out of a recording, to a file of its own: steps FIRST to LAST, inclusive,
    counted from 0 there."""
    whole = Trace.load(file)
    stretch = whole.trim(first, len(whole.steps) - 1 if last is None else last)
    stretch.save(to)
    words = f"Saved: {to}, {len(stretch.steps):,} of {len(whole.steps):,} steps"
    if stretch.base is not None:
        words += (
            f", {len(stretch.base.sequences):,} requests under way where it begins. Who they "
            "waited for before, and gaps between tokens across the cut, are not known in it"
        )
    output().print(f"{words}.", markup=False)


def note(
    file: _Source,
    text: Annotated[str, typer.Argument(help="What is to be said; plain text.")],
    step: Annotated[int, typer.Option(min=0, help="The step that it is pinned to.")],
    by: Annotated[str, typer.Option(help="Who says it.")] = "",
    to: Annotated[
        Path | None, typer.Option(help="Save there and leave FILE as it is.", show_default=False)
    ] = None,
) -> None:
    """Pin a note to a step of a recording; it is shown while that step is, in pages too."""
    noted = Trace.load(file).with_note(step, text, by)
    noted.save(to or file)
    count = len(noted.notes)
    words = f"{to or file} has {count} note{'' if count == 1 else 's'}:"
    console = output()
    console.print(words, markup=False)
    for each in noted.notes:
        who = f" ({each.by})" if each.by else ""
        console.print(printable(f"  step {each.note:,}{who}: {each.text}"), markup=False)
