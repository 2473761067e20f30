"""A run as files to take away."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from minillm.trace.digest import RequestRecord
from minillm.trace.trace import Trace

_COLUMNS: Mapping[str, Callable[[RequestRecord], object]] = {
    "request": lambda r: r.id,
    "client": lambda r: r.client,
    "priority": lambda r: r.priority,
    "arrival_ns": lambda r: r.arrival,
    "admitted_ns": lambda r: r.admitted_at,
    "first_token_ns": lambda r: r.first_token_at,
    "finished_ns": lambda r: r.finished_at,
    "prompt_tokens": lambda r: r.prompt_len,
    "cached_tokens": lambda r: r.cached_tokens,
    "output_tokens": lambda r: r.output_len,
    "preemptions": lambda r: r.preemptions,
    "finish_reason": lambda r: r.finish_reason,
    "rejected": lambda r: r.rejected,
}


def name_of(trace: Trace) -> str:
    """What a file of this run is called, without its ending."""
    return f"{trace.header.scene or 'run'}-{trace.header.scheduler}"


def as_trace(trace: Trace, language: str) -> bytes:
    return "".join(line + "\n" for line in trace.lines()).encode()


def as_page(trace: Trace, language: str) -> bytes:
    return _written(lambda path: trace.to_html(path, language=language))


def as_perfetto(trace: Trace, language: str) -> bytes:
    return _written(trace.to_perfetto)


def as_csv(trace: Trace, language: str) -> bytes:
    """One row per request, times in engine-clock ns."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(_COLUMNS)
    rows.writerows([value(r) for value in _COLUMNS.values()] for r in trace.requests)
    return text.getvalue().encode()


def _written(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        write(path)
        return path.read_bytes()


FORMATS: Mapping[str, tuple[str, str, Callable[[Trace, str], bytes]]] = {
    "trace": (".jsonl", "application/jsonl", as_trace),
    "page": (".html", "text/html", as_page),
    "perfetto": (".perfetto.json", "application/json", as_perfetto),
    "csv": (".csv", "text/csv", as_csv),
}
"""Format → ending, media type, how it is made; `language` is for what people read in it."""
