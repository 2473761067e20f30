"""A run as files to take away."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minillm.trace.tables import encode_table, requests_table, steps_table
from minillm.trace.trace import Trace

Format = tuple[str, str, Callable[[Trace, str], bytes]]


def name_of(trace: Trace) -> str:
    """What a file of this run is called, without its ending."""
    return f"{trace.header.scene or 'run'}-{trace.header.scheduler}"


def as_trace(trace: Trace, language: str) -> bytes:
    return "".join(line + "\n" for line in trace.lines()).encode()


def as_page(trace: Trace, language: str) -> bytes:
    return _written(lambda path: trace.to_html(path, language=language))


def as_perfetto(trace: Trace, language: str) -> bytes:
    return _written(trace.to_perfetto)


def _table(rows: Callable[[Trace], Any], kind: str) -> Callable[[Trace, str], bytes]:
    return lambda trace, language: encode_table(rows(trace), kind)


def _written(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()


FORMATS: Mapping[str, Format] = {
    "trace": (".jsonl", "application/jsonl", as_trace),
    "page": (".html", "text/html", as_page),
    "perfetto": (".perfetto.json", "application/json", as_perfetto),
}
"""Format → ending, media type, how it is made; `language` is for what people read in it."""

_PARQUET = "application/vnd.apache.parquet"
TABLES: Mapping[str, Format] = {
    "requests_csv": (".requests.csv", "text/csv", _table(requests_table, "csv")),
    "requests_parquet": (".requests.parquet", _PARQUET, _table(requests_table, "parquet")),
    "steps_csv": (".steps.csv", "text/csv", _table(steps_table, "csv")),
    "steps_parquet": (".steps.parquet", _PARQUET, _table(steps_table, "parquet")),
}
"""The same of the run's figures, in pairs."""
