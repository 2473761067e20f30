"""The figures of a run, by the names and definitions of `vllm bench serve`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from minillm.config import closest

if TYPE_CHECKING:
    from minillm.trace.digest import RequestRecord
    from minillm.trace.trace import Trace

PERCENTILES = (50, 90, 95, 99)
GOODPUT = ("ttft", "tpot", "e2el")
"""What a goodput limit may be on, per request."""


def metrics(trace: Trace, goodput: Mapping[str, float] | None = None) -> dict[str, float]:
    """Figures over the completed requests of `trace`; latencies in ms, throughputs per second.

    For ttft, tpot, itl, e2el and queue (arrival to first admission) there are `mean_…_ms`,
    `median_…_ms`, `std_…_ms` and `p50_…_ms`, `p90`, `p95`, `p99`; NaN where nothing was measured.
    TPOT excludes the first token; a request of one token has none. Of a request with several
    answers, tokens and gaps between them are counted for each, and e2el ends with the last; the
    rest is that of the first. `duration` runs from the first
    arrival to the end of the last step. `goodput` limits, in ms, e.g. `{"ttft": 200, "tpot": 50}`,
    give `request_goodput`: completed requests per second that met them all (NaN without limits).

    Of a stretch cut out of a run: its own duration, the requests that end in it, the tokens that
    came in it; their latencies are whole, but gaps between tokens across the cut are not known.
    """
    limits = _checked(goodput)
    series = trace.series
    requests, forks = _families(trace.requests)
    done, sequences = _done(requests, forks)
    begun = -1 if trace.base is None else trace.base.time
    first = min((r.arrival for r in requests if r.rejected is None), default=0)
    first = max(first, begun)
    duration = (series.end[-1] - first) / 1e9 if series.end else 0.0
    inputs = sum(r.prompt_len for r in done if (r.first_token_at or 0) > begun)
    outputs = sum(each.output_len - each.earlier_tokens for each in sequences)

    def rate(amount: float) -> float:
        return amount / duration if duration else 0.0

    measured = [_latencies(request, forks[request.id]) for request in done]
    met = sum(all(each.get(name, 0.0) <= limits[name] for name in limits) for each in measured)
    figures: dict[str, float] = {
        "completed": len(done),
        "failed": sum(r.rejected is not None or r.finish_reason == "error" for r in requests),
        "duration": duration,
        "total_input_tokens": inputs,
        "total_output_tokens": outputs,
        "request_throughput": rate(len(done)),
        "request_goodput": rate(met) if limits else math.nan,
        "output_throughput": rate(outputs),
        "total_token_throughput": rate(inputs + outputs),
        "max_concurrent_requests": max(series.running, default=0),
        "num_preemptions": trace.num_preemptions,
        "prefix_cache_hit_rate": trace.prefix_cache_hit_rate,
        "peak_kv_cache_usage": max(series.used_blocks, default=0) / trace.header.num_blocks,
    }
    for name in ("ttft", "tpot", "e2el", "queue"):
        figures |= _statistics(name, [each[name] for each in measured if name in each])
    return figures | _statistics("itl", [gap / 1e6 for each in sequences for gap in each.itl])


def latencies(trace: Trace) -> dict[str, list[float]]:
    """What `metrics` sums up: every measured `ttft`, `tpot`, `itl`, `e2el` and `queue`, in ms."""
    requests, forks = _families(trace.requests)
    done, sequences = _done(requests, forks)
    each = [_latencies(request, forks[request.id]) for request in done]
    found = {
        name: [measured[name] for measured in each if name in measured]
        for name in ("ttft", "tpot", "e2el", "queue")
    }
    return found | {"itl": [gap / 1e6 for sequence in sequences for gap in sequence.itl]}


_Forks = Mapping[str, Sequence["RequestRecord"]]


def _done(
    requests: Sequence[RequestRecord], forks: _Forks
) -> tuple[list[RequestRecord], list[RequestRecord]]:
    """The requests served to their end, and every sequence of theirs."""
    done = [r for r in requests if r.completed and all(f.completed for f in forks[r.id])]
    return done, [each for request in done for each in (request, *forks[request.id])]


def _families(
    records: Sequence[RequestRecord],
) -> tuple[list[RequestRecord], dict[str, list[RequestRecord]]]:
    """The requests, and the forks of each."""
    forks: defaultdict[str, list[RequestRecord]] = defaultdict(list)
    for record in records:
        if record.parent is not None:
            forks[record.parent].append(record)
    return [record for record in records if record.parent is None], forks


def _latencies(request: RequestRecord, forks: Sequence[RequestRecord]) -> dict[str, float]:
    """Latencies of a completed request, ms."""
    start, first, end = request.arrival, request.first_token_at, request.finished_at
    admitted = request.admitted_at
    assert first is not None
    assert end is not None
    assert admitted is not None
    found = {
        "ttft": (first - start) / 1e6,
        "e2el": (max([end, *(f.finished_at or 0 for f in forks)]) - start) / 1e6,
        "queue": (admitted - start) / 1e6,
    }
    if request.output_len > 1:
        found["tpot"] = (end - first) / (request.output_len - 1) / 1e6
    return found


def _checked(goodput: Mapping[str, float] | None) -> dict[str, float]:
    limits = dict(goodput or {})
    for name, limit in limits.items():
        if name not in GOODPUT:
            raise ValueError(
                f"unknown goodput limit {name!r}.{closest(name, GOODPUT)} "
                f"Known: {', '.join(GOODPUT)} (milliseconds)."
            )
        if not limit >= 0:
            raise ValueError(f"the goodput limit for {name} must be ≥ 0 ms, got {limit}")
    return limits


def _statistics(name: str, values: Sequence[float]) -> dict[str, float]:
    """Mean, median, population standard deviation and percentiles (linear interpolation)."""
    ordered, count = sorted(values), len(values)
    mean = math.fsum(ordered) / count if count else math.nan
    variance = math.fsum((v - mean) ** 2 for v in ordered) / count if count else math.nan
    return {
        f"mean_{name}_ms": mean,
        f"median_{name}_ms": _percentile(ordered, 50),
        f"std_{name}_ms": math.sqrt(variance),
        **{f"p{p}_{name}_ms": _percentile(ordered, p) for p in PERCENTILES},
    }


def _percentile(ordered: Sequence[float], percent: int) -> float:
    if not ordered:
        return math.nan
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
