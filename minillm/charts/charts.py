"""The charts. Each has a constant spec and a constant data name, so that a page that redraws it
changes data only and keeps the element: nothing in it may depend on what the trace says."""

from __future__ import annotations

from typing import Any

import altair as alt

from minillm.charts import series
from minillm.trace import Trace

# Okabe and Ito's colours, told apart with any colour vision; dashes repeat the difference.
_RUNNING, _WAITING, _KV = "#0072b2", "#d55e00", "#009e73"
_TTFT, _ITL = "#0072b2", "#d55e00"
HEIGHT = 130  # px


def load_over_time(trace: Trace) -> alt.VConcatChart:
    """Running and waiting requests above, KV blocks held (%) below, over engine seconds."""
    columns = series.load_over_time(trace)
    records = series.rows(columns)
    requests = [
        {"seconds": row["seconds"], "state": state, "requests": row[state]}
        for row in records
        for state in ("running", "waiting")
    ]
    states = alt.Scale(domain=["running", "waiting"], range=[_RUNNING, _WAITING])
    dashes = alt.Scale(domain=["running", "waiting"], range=[[1, 0], [5, 3]])
    above = (
        alt.Chart(_data("load-requests", requests), title="Requests", height=HEIGHT)
        .mark_line(interpolate="step-before")
        .encode(
            x=_seconds(),
            y=alt.Y("requests:Q", title=None, axis=alt.Axis(tickMinStep=1)),
            color=alt.Color("state:N", scale=states, legend=alt.Legend(title=None, orient="top")),
            strokeDash=alt.StrokeDash("state:N", scale=dashes),
            tooltip=["state:N", "requests:Q", alt.Tooltip("seconds:Q", format=".3f")],
        )
    )
    kv = [{"seconds": row["seconds"], "kv": row["kv"]} for row in records]
    below = (
        alt.Chart(_data("load-kv", kv), title="KV blocks held, %", height=HEIGHT)
        .mark_area(interpolate="step-before", color=_KV, opacity=0.5, line={"color": _KV})
        .encode(
            x=_seconds(),
            y=alt.Y("kv:Q", title=None, scale=alt.Scale(domain=[0, 100])),
            tooltip=[alt.Tooltip("kv:Q", format=".1f"), alt.Tooltip("seconds:Q", format=".3f")],
        )
    )
    return alt.vconcat(above, below).properties(name="load_over_time").resolve_scale(x="shared")


def latency(trace: Trace) -> alt.VConcatChart:
    """TTFT per request at its arrival above, inter-token latencies below; ms, log scale."""
    return (
        alt.vconcat(
            _points(
                "latency-ttft",
                "Time to first token, ms",
                series.time_to_first_token(trace),
                _TTFT,
                "circle",
            ),
            _points(
                "latency-itl",
                "Inter-token latency, ms",
                series.inter_token_latency(trace),
                _ITL,
                "cross",
            ),
        )
        .properties(name="latency")
        .resolve_scale(x="shared")
    )


def _points(name: str, title: str, columns: series.Columns, color: str, shape: str) -> alt.Chart:
    positive = [row for row in series.rows(columns) if row["ms"] > 0]
    return (
        alt.Chart(_data(name, positive), title=title, height=HEIGHT)
        .mark_point(color=color, shape=shape, size=28, opacity=0.7)
        .encode(
            x=_seconds(),
            y=alt.Y("ms:Q", title=None, scale=alt.Scale(type="log")),
            tooltip=["request:N", alt.Tooltip("ms:Q", format=",.2f")],
        )
    )


def _data(name: str, records: list[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=records, name=name)


def _seconds() -> alt.X:
    return alt.X("seconds:Q", title="engine seconds", scale=alt.Scale(nice=False))
