"""A run as files to take away."""

from __future__ import annotations

import tempfile
from pathlib import Path

from minillm.trace.trace import Trace


def name_of(trace: Trace) -> str:
    """What a file of this run is called, without its ending."""
    return f"{trace.header.scene or 'run'}-{trace.header.scheduler}"


def as_trace(trace: Trace) -> str:
    return "".join(line + "\n" for line in trace.lines())


def as_page(trace: Trace, language: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        trace.to_html(path, language=language)
        return path.read_bytes()
