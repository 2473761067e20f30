"""`minillm doctor`: what this machine can do, and what to do about what it cannot."""

from __future__ import annotations

import typer
from rich.table import Table

from minillm.cli.shell import busy, output

_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def doctor() -> None:
    """Look at this machine: Python, torch, GPU, Triton, memory, model, app and browser."""
    with busy("Looking at this machine"):
        from minillm.doctor import examine

        findings = examine()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "what", "found", "to do"):
        table.add_column(column)
    for finding in findings:
        status = f"[{_STYLES[finding.status]}]{finding.status}[/]"
        table.add_row(status, finding.what, finding.found, finding.advice)
    output().print(table)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)
