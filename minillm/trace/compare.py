"""Comparing runs: the same requests, served in two to four ways.

Times of a request are counted from its own arrival, so runs on different clocks compare.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minillm.messages import DEFAULT, say
from minillm.trace.metrics import latencies
from minillm.trace.state import TraceError

if TYPE_CHECKING:
    from minillm.trace.digest import RequestRecord
    from minillm.trace.records import Header
    from minillm.trace.trace import Trace

FEWEST, MOST = 2, 4
LATENCIES = ("ttft", "tpot", "itl", "e2el")
_STATISTICS = ("mean", "median", "p99")
_RATES = ("request_throughput", "output_throughput", "request_goodput")
_SAME_ARRIVAL = 1_000_000  # ns: clocks of real runs are read a moment apart
_LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that happened to `request` sooner in one run than in another; both by their
    numbers. `what`: "first_token" or "end". `ns`: how much sooner; None: in `than`, never."""

    request: str
    what: str
    sooner: int
    than: int
    ns: int | None

    def told(self, names: Sequence[str], language: str = DEFAULT) -> str:
        """As a sentence: "request 4: first token 1.9 s sooner with sarathi"."""
        key = f"charts.compare_{self.what}_{'only' if self.ns is None else 'sooner'}"
        return say(
            language,
            key,
            request=self.request,
            time="" if self.ns is None else _duration(self.ns),
            run=names[self.sooner],
            other=names[self.than],
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One metric, one value per run; NaN where nothing was measured. `winners`: the numbers of
    the best runs; nobody where fewer than two were measured or all are the same."""

    metric: str
    values: tuple[float, ...]
    winners: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """When `request` had its first token and its end in each run, ns since its arrival; None: it
    had not. A request with several answers ends with its last."""

    request: str
    first_token: tuple[int | None, ...]
    end: tuple[int | None, ...]


class Comparison:
    """Two to four traces of the same requests; `names` tell them apart."""

    def __init__(self, traces: Sequence[Trace], names: Sequence[str] | None = None) -> None:
        """Raises TraceError where the traces cannot be compared, saying why."""
        if not FEWEST <= len(traces) <= MOST:
            raise TraceError(
                f"{len(traces)} traces cannot be compared: give {FEWEST} to {MOST} of them"
            )
        self.traces = tuple(traces)
        self.names = tuple(names or names_of([trace.header for trace in traces]))
        if len(set(self.names)) != len(self.traces):
            raise TraceError(f"{len(traces)} traces need as many different names: {self.names}")
        families = [_families(trace.requests) for trace in traces]
        for name, family in zip(self.names[1:], families[1:], strict=True):
            _check_same(self.names[0], families[0], name, family)
        self.requests: list[RequestTimes] = [
            RequestTimes(
                id,
                tuple(_since(family[id][0], family[id][0].first_token_at) for family in families),
                tuple(_end(family[id]) for family in families),
            )
            for id in families[0]
        ]

    def differences(self, most: int | None = None) -> list[Difference]:
        """The most telling differences: what only some runs got done, then the largest ones in
        time, between the best run and the worst. Each request once, with the larger of its two."""
        found: list[Difference] = []
        for times in self.requests:
            each = [
                difference
                for what, values in (("first_token", times.first_token), ("end", times.end))
                if (difference := _difference(times.request, what, values)) is not None
            ]
            found += sorted(each, key=_telling)[:1]
        return sorted(found, key=_telling)[:most]

    def table(self, goodput: Mapping[str, float] | None = None) -> list[Row]:
        """Latencies (ms, by the names of `Trace.metrics`, and the longest ITL), throughputs and,
        with `goodput` limits, goodput (per second)."""
        figures = [trace.metrics(goodput) for trace in self.traces]
        rows = []
        for name in LATENCIES:
            for statistic in _STATISTICS:
                rows.append(_row(f"{statistic}_{name}_ms", figures, high=False))
            if name == "itl":  # a stall that readers notice may be rarer than one gap in a hundred
                rows.append(_row("max_itl_ms", self._longest_gaps(), high=False))
        rates = _RATES if goodput else _RATES[:-1]
        return rows + [_row(name, figures, high=True) for name in rates]

    def _longest_gaps(self) -> list[dict[str, float]]:
        gaps = (latencies(trace)["itl"] for trace in self.traces)
        return [{"max_itl_ms": max(each, default=math.nan)} for each in gaps]

    def ecdf(self, name: str, points: int = 400) -> list[list[tuple[float, float]]]:
        """Per run the distribution of the latency `name` (one of LATENCIES): (ms, share of the
        measured values that are no larger), rising to 1; at most `points`, the extremes kept."""
        return [_ecdf(sorted(latencies(trace)[name]), points) for trace in self.traces]


def names_of(headers: Sequence[Header]) -> list[str]:
    """Names that say what the runs differ in: as few things as tell them apart, the scheduler
    first; letters where nothing does."""
    columns = [
        [header.scheduler for header in headers],
        [f"{h.kv_cache} ({h.reserve})" if h.reserve else h.kv_cache for h in headers],
        ["swap" if header.num_cpu_blocks else "recompute" for header in headers],
        [header.model for header in headers],
        [header.device for header in headers],
        [f"{header.block_size}-token blocks" for header in headers],
        [f"{header.num_blocks:,} blocks" for header in headers],
        [f"budget {header.max_num_batched_tokens:,}" for header in headers],
        [f"{header.max_num_seqs:,} sequences" for header in headers],
    ]
    names = [""] * len(headers)
    for column in columns:
        if len(set(column)) > 1:
            names = [
                " · ".join(filter(None, (name, each)))
                for name, each in zip(names, column, strict=True)
            ]
        if len(set(names)) == len(headers):
            return names
    return [
        f"{letter}: {header.scheduler}".removesuffix(": ")
        for letter, header in zip(_LETTERS, headers, strict=False)
    ]


Family = list["RequestRecord"]
"""A request and its forks."""


def _families(records: Sequence[RequestRecord]) -> dict[str, Family]:
    families: dict[str, Family] = {r.id: [r] for r in records if r.parent is None}
    for record in records:
        if record.parent in families:
            families[record.parent].append(record)
    return families


def _check_same(a: str, ours: dict[str, Family], b: str, theirs: dict[str, Family]) -> None:
    if not ours or not theirs:
        raise TraceError(f"{a if not ours else b} has no requests: there is nothing to compare")
    for id in ours.keys() ^ theirs.keys():
        holder, other = (a, b) if id in ours else (b, a)
        raise TraceError(
            f"these runs do not share their requests: {holder} has a request {id!r} and {other} "
            "has not. Run the same workload in each"
        )
    for id in ours:
        one, two = ours[id][0], theirs[id][0]
        if one.rejected is None and two.rejected is None and one.prompt_len != two.prompt_len:
            raise TraceError(
                f"these runs do not share their requests: request {id} has {one.prompt_len} "
                f"prompt tokens in {a} and {two.prompt_len} in {b}. Run the same workload in each"
            )
        if abs(one.arrival - two.arrival) > _SAME_ARRIVAL:
            raise TraceError(
                f"these runs do not share their requests: request {id} arrives at "
                f"{one.arrival / 1e9:.3f} s in {a} and at {two.arrival / 1e9:.3f} s in {b}. "
                "Run the same workload in each"
            )


def _since(record: RequestRecord, time: int | None) -> int | None:
    return None if time is None else time - record.arrival


def _end(family: Family) -> int | None:
    if not all(record.completed for record in family):
        return None
    return max((r.finished_at or 0) - family[0].arrival for r in family)


def _difference(request: str, what: str, values: Sequence[int | None]) -> Difference | None:
    known = {run: ns for run, ns in enumerate(values) if ns is not None}
    if not known:
        return None
    best = min(known, key=known.__getitem__)
    if len(known) < len(values):
        never = next(run for run in range(len(values)) if run not in known)
        return Difference(request, what, best, never, None)
    worst = max(known, key=known.__getitem__)
    ns = known[worst] - known[best]
    return Difference(request, what, best, worst, ns) if ns else None


def _telling(difference: Difference) -> tuple[bool, int]:
    return difference.ns is not None, -(difference.ns or 0)


def _row(name: str, figures: Sequence[Mapping[str, float]], *, high: bool) -> Row:
    values = tuple(each[name] for each in figures)
    known = [value for value in values if not math.isnan(value)]
    if len(known) < FEWEST or all(math.isclose(value, known[0]) for value in known):
        return Row(name, values, ())
    goal = max(known) if high else min(known)
    return Row(name, values, tuple(i for i, v in enumerate(values) if math.isclose(v, goal)))


def _ecdf(values: Sequence[float], points: int) -> list[tuple[float, float]]:
    count = len(values)
    kept = range(count)
    if count > points:
        kept = sorted({round(i * (count - 1) / (points - 1)) for i in range(points)})
    return [(values[i], (i + 1) / count) for i in kept]


def _duration(ns: int) -> str:
    """ns for people: two or three figures."""
    if ns >= 10**9:
        return f"{ns / 1e9:,.1f} s"
    return f"{ns / 1e6:.0f} ms" if ns >= 10**7 else f"{ns / 1e6:.2f} ms"
