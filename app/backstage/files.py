"""A run as files to take away."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from minillm.trace.tables import encode_table, requests_table, steps_table
from minillm.trace.trace import Trace


def name_of(trace: Trace) -> str:
    """What a file of this run is called, without its ending."""
    return f"{trace.header.scene or 'run'}-{trace.header.scheduler}"


def as_trace(trace: Trace, language: str) -> bytes:
    return "".join(line + "\n" for line in trace.lines()).encode()


def as_page(trace: Trace, language: str) -> bytes:
    return _written(lambda path: trace.to_html(path, language=language))


def as_perfetto(trace: Trace, language: str) -> bytes:
    return _written(trace.to_perfetto)


def as_requests(trace: Trace, language: str) -> bytes:
    return encode_table(requests_table(trace), "csv")


def as_steps(trace: Trace, language: str) -> bytes:
    return encode_table(steps_table(trace), "csv")


def _written(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()


FORMATS: Mapping[str, tuple[str, str, Callable[[Trace, str], bytes]]] = {
    "trace": (".jsonl", "application/jsonl", as_trace),
    "page": (".html", "text/html", as_page),
    "perfetto": (".perfetto.json", "application/json", as_perfetto),
    "requests": (".requests.csv", "text/csv", as_requests),
    "steps": (".steps.csv", "text/csv", as_steps),
}
"""Format → ending, media type, how it is made; `language` is for what people read in it."""
