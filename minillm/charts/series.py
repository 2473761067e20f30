"""From a trace to small columns of figures, ready to draw. No Altair here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minillm.trace import Trace

Columns = dict[str, list[Any]]

LOAD_POINTS = 600  # per line; three lines stay under 2,000 marks
LATENCY_POINTS = 900  # per kind
MEMORY_POINTS = 300  # per kind


def load_over_time(trace: Trace, points: int = LOAD_POINTS) -> Columns:
    """Columns `seconds`, `running`, `waiting` (requests) and `kv` (% of blocks held).

    At most `points` rows. Where steps are left out, each column keeps the largest value among
    those its row stands for, so that no peak is lost.
    """
    series = trace.series
    columns = (series.running, series.waiting, series.used_blocks)
    count = min(len(series.end), *(len(column) for column in columns))
    chunks = _chunks(count, points)
    running, waiting, used = ([max(column[a:b]) for a, b in chunks] for column in columns)
    blocks = trace.header.num_blocks
    return {
        "seconds": [series.end[b - 1] / 1e9 for _, b in chunks],
        "running": running,
        "waiting": waiting,
        "kv": [100 * value / blocks for value in used],
    }


def time_to_first_token(trace: Trace, points: int = LATENCY_POINTS) -> Columns:
    """Columns `seconds` (of arrival), `ms` (TTFT), `request`; the latest `points` requests."""
    started = [r for r in trace.requests if r.first_token_at is not None][-points:]
    return {
        "seconds": [r.arrival / 1e9 for r in started],
        "ms": [((r.first_token_at or 0) - r.arrival) / 1e6 for r in started],
        "request": [r.id for r in started],
    }


def inter_token_latency(trace: Trace, points: int = LATENCY_POINTS) -> Columns:
    """Columns `seconds` (when the token came), `ms` (ITL), `request`, in order of time.

    Of more than `points` gaps, the longest of each stretch is kept: stalls are what one looks for.
    """
    gaps = trace.gaps
    chunks = _chunks(len(gaps.request), points)
    kept = [max(range(a, b), key=gaps.gap.__getitem__) for a, b in chunks]
    return {
        "seconds": [gaps.end[i] / 1e9 for i in kept],
        "ms": [gaps.gap[i] / 1e6 for i in kept],
        "request": [gaps.request[i] for i in kept],
    }


def memory_over_time(trace: Trace, points: int = MEMORY_POINTS) -> Columns:
    """Columns `seconds`, `kind` (see `Trace.memory`) and `share` (% of the pool): a level from
    there to the next row of its kind; the last ones say where the run ends.

    At most `points` levels a kind, each the mean of some steps, weighted by their durations; so
    the shares of a moment always add up to 100.
    """
    memory = trace.memory()
    chunks = _chunks(len(memory.end), points)
    levels = [(memory.start[a] / 1e9, memory.shares_of_steps(a, b)) for a, b in chunks]
    if levels:
        levels.append((memory.end[-1] / 1e9, levels[-1][1]))
    return {
        "seconds": [seconds for seconds, shares in levels for _ in shares],
        "kind": [kind for _, shares in levels for kind in shares],
        "share": [share for _, shares in levels for share in shares.values()],
    }


def rows(columns: Columns) -> list[dict[str, Any]]:
    """Columns as a list of records, the shape Vega-Lite takes inline."""
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _chunks(count: int, at_most: int) -> Sequence[tuple[int, int]]:
    """[0, count) in at most `at_most` even stretches, none of them empty."""
    pieces = min(count, at_most)
    return [(i * count // pieces, (i + 1) * count // pieces) for i in range(pieces)]
