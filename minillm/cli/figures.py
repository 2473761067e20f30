"""The figures of a run as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table

_LATENCIES = (
    ("ttft", "time to first token"),
    ("tpot", "time per output token"),
    ("itl", "inter-token latency"),
    ("e2el", "end to end"),
    ("queue", "waiting to be admitted"),
)
_STATISTICS = ("mean", "median", "p99")


def figures(metrics: Mapping[str, float]) -> RenderableType:
    """`trace.metrics()` for people: latencies in a table, the rest in lines below."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("latency, ms")
    for name in _STATISTICS:
        table.add_column(name, justify="right")
    for key, meaning in _LATENCIES:
        values = (metrics[f"{statistic}_{key}_ms"] for statistic in _STATISTICS)
        table.add_row(meaning, *(number(value) for value in values))
    return Group(table, "", *_lines(metrics))


def _lines(metrics: Mapping[str, float]) -> list[str]:
    count = {name: f"{metrics[name]:,.0f}" for name in metrics if not math.isnan(metrics[name])}
    return [
        f"{count['completed']} requests completed, {count['failed']} refused or failed, "
        f"in {metrics['duration']:.3f} s: {metrics['request_throughput']:.2f} requests/s",
        f"{count['total_input_tokens']} tokens read, {count['total_output_tokens']} written: "
        f"{metrics['output_throughput']:,.0f} written per second",
        f"at most {count['max_concurrent_requests']} at once; "
        f"{count['num_preemptions']} preemptions; KV pool at its peak "
        f"{metrics['peak_kv_cache_usage']:.0%} full; "
        f"prefix cache hits {metrics['prefix_cache_hit_rate']:.0%}",
    ]


def number(value: float) -> str:
    """For people; a dash where nothing was measured."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
