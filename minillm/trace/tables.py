"""Figures of a run as tables: a row per request, a row per step; and tables as files.

A table is a list of rows, each an object with the same keys. None: not measured, or not yet.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from minillm.trace import file
from minillm.trace.fold import apply
from minillm.trace.lives import KINDS
from minillm.trace.memory import KINDS as MEMORY_KINDS
from minillm.trace.state import TraceError

if TYPE_CHECKING:
    from minillm.trace.digest import RequestRecord
    from minillm.trace.trace import Trace

FORMATS = ("csv", "parquet")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute

Row = Mapping[str, Any]


def requests_table(trace: Trace) -> list[dict[str, Any]]:
    """A row per request, and per fork of one, in order of arrival at the engine: its lengths
    (tokens), its latencies (ms; TPOT without the first token), and how much of its life was of
    each of `minillm.trace.lives.KINDS` (`life_…_ms`; they add up to `life_ms`)."""
    lives = trace.lives().requests
    rows = []
    for record in trace.requests:
        life = lives.get(record.id)
        totals = {} if life is None else life.totals()
        row = _latencies(record) | {"life_ms": None if life is None else life.ns / 1e6}
        for kind in KINDS:
            parts = sum(totals.get(kind, {}).values())
            row[f"life_{kind}_ms"] = None if life is None else parts / 1e6
        rows.append(row)
    return rows


def steps_table(trace: Trace) -> list[dict[str, Any]]:
    """A row per step: its times, its batch (sequences; tokens of prefill), who waited, and the KV
    slots by what they were good for (`slots_…`, see `minillm.trace.memory`)."""
    state, memory, rows = trace.state_at(-1), trace.memory(), []
    for n, step in enumerate(trace.steps[: len(memory.end)]):
        apply(state, step)
        running, waiting, used = state.load
        kinds = [kind for _, _, kind in state.batch]
        row = {
            "step": step.index,
            "start_s": step.start / 1e9,
            "duration_ms": step.duration / 1e6,
            "transfer_ms": step.transfer / 1e6,
            "running": running,
            "waiting": waiting,
            "prefilling": kinds.count("prefill"),
            "decoding": kinds.count("decode"),
            "prefill_tokens": sum(count for _, count in step.prefills),
            "used_blocks": used,
        }
        rows.append(row | {f"slots_{kind}": getattr(memory, kind)[n] for kind in MEMORY_KINDS})
    return rows


def encode_table(rows: Sequence[Row], kind: str) -> bytes:
    """A table as the bytes of a file: "csv" (UTF-8, a line of names first) or "parquet". Raises
    TraceError where pyarrow, which writes the latter, is missing."""
    if kind == "csv":
        return _csv(rows)
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise TraceError('Parquet needs pyarrow: pip install "minillm-lab[bench]"') from None
    names = rows[0] if rows else ()
    table = pyarrow.table({name: [row[name] for row in rows] for name in names})
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink)
    return sink.getvalue()


def save_table(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Write a table, whole or not at all, as the end of its name says. Raises TraceError."""
    kind = Path(path).suffix.removeprefix(".")
    if kind not in FORMATS:
        raise TraceError(f"a table is saved as .csv or .parquet, not {Path(path).name!r}")
    file.write_whole(path, [encode_table(rows, kind)])


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _inert(value) for name, value in row.items()})
    return text.getvalue().encode()


def _inert(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _latencies(record: RequestRecord) -> dict[str, Any]:
    def since(time: int | None, start: int | None) -> float | None:
        return None if time is None or start is None else (time - start) / 1e6

    end = record.finished_at if record.completed else None
    tpot = since(end, record.first_token_at)
    gaps = record.itl
    return {
        "request": record.id,
        "parent": record.parent,
        "client": record.client,
        "priority": record.priority,
        "arrival_s": record.arrival / 1e9,
        "prompt_len": record.prompt_len,
        "output_len": record.output_len,
        "cached_tokens": record.cached_tokens,
        "preemptions": record.preemptions,
        "finish_reason": record.finish_reason,
        "rejected": record.rejected,
        "queue_ms": since(record.admitted_at, record.arrival),
        "ttft_ms": since(record.first_token_at, record.arrival),
        "tpot_ms": tpot / (record.output_len - 1) if tpot and record.output_len > 1 else None,
        "mean_itl_ms": fmean(gaps) / 1e6 if gaps else None,
        "max_itl_ms": max(gaps) / 1e6 if gaps else None,
        "e2el_ms": since(end, record.arrival),
    }
