"""The charts. Each has a constant spec that names its data sets, and carries them at the top, so
that a page that redraws it changes data only and keeps the element. (Streamlit compares specs:
data frames would be named by their content there, and each new step would embed the chart anew.)
"""

from __future__ import annotations

from typing import Any

import altair as alt

from minillm.charts import series
from minillm.charts.look import BLUE, GREEN, VERMILION
from minillm.messages import DEFAULT, say
from minillm.trace import Trace

_RUNNING, _WAITING, _KV = BLUE, VERMILION, GREEN
_TTFT, _ITL = BLUE, VERMILION
HEIGHT = 130  # px
_DECADES = [10.0**power for power in range(-3, 7)]


def load_over_time(trace: Trace, language: str = DEFAULT) -> alt.VConcatChart:
    """Running and waiting requests above, KV blocks held (%) below, over engine seconds."""
    records = series.rows(series.load_over_time(trace))
    names = {state: say(language, f"live.{state}") for state in ("running", "waiting")}
    requests = [
        {"seconds": row["seconds"], "state": names[state], "requests": row[state]}
        for row in records
        for state in names
    ]
    kv = [{"seconds": row["seconds"], "kv": row["kv"]} for row in records]
    states = alt.Scale(domain=list(names.values()), range=[_RUNNING, _WAITING])
    dashes = alt.Scale(domain=list(names.values()), range=[[1, 0], [5, 3]])
    above = (
        alt.Chart(
            alt.NamedData("load-requests"), title=say(language, "live.requests"), height=HEIGHT
        )
        .mark_line(interpolate="step-before")
        .encode(
            x=_seconds(language),
            y=alt.Y("requests:Q", title=None, axis=alt.Axis(tickMinStep=1)),
            color=alt.Color("state:N", scale=states, legend=alt.Legend(title=None, orient="top")),
            strokeDash=alt.StrokeDash("state:N", scale=dashes),
            tooltip=["state:N", "requests:Q", alt.Tooltip("seconds:Q", format=".3f")],
        )
    )
    below = (
        alt.Chart(alt.NamedData("load-kv"), title=say(language, "live.held"), height=HEIGHT)
        .mark_area(interpolate="step-before", color=_KV, opacity=0.5, line={"color": _KV})
        .encode(
            x=_seconds(language),
            y=alt.Y("kv:Q", title=None, scale=alt.Scale(domain=[0, 100])),
            tooltip=[alt.Tooltip("kv:Q", format=".1f"), alt.Tooltip("seconds:Q", format=".3f")],
        )
    )
    return _stacked("load_over_time", above, below, {"load-requests": requests, "load-kv": kv})


def latency(trace: Trace, language: str = DEFAULT) -> alt.VConcatChart:
    """TTFT per request at its arrival above, inter-token latencies below; ms, log scale."""
    ttft, itl = series.time_to_first_token(trace), series.inter_token_latency(trace)
    return _stacked(
        "latency",
        _points("latency-ttft", "live.ttft", _TTFT, "circle", language),
        _points("latency-itl", "live.itl", _ITL, "cross", language),
        {"latency-ttft": _positive(ttft), "latency-itl": _positive(itl)},
    )


def _points(data: str, title: str, color: str, shape: str, language: str) -> alt.Chart:
    return (
        alt.Chart(alt.NamedData(data), title=say(language, title), height=HEIGHT)
        .mark_point(color=color, shape=shape, size=28, opacity=0.7)
        .encode(
            x=_seconds(language),
            y=alt.Y(
                "ms:Q",
                title=None,
                scale=alt.Scale(type="log"),
                axis=alt.Axis(values=_DECADES, format=",~g"),
            ),
            tooltip=["request:N", alt.Tooltip("ms:Q", format=",.2f")],
        )
    )


def _stacked(
    name: str, above: alt.Chart, below: alt.Chart, datasets: dict[str, list[dict[str, Any]]]
) -> alt.VConcatChart:
    """Two views over one time axis."""
    both = alt.vconcat(above, below, datasets=datasets)
    return both.properties(name=name).resolve_scale(x="shared")


def _positive(columns: series.Columns) -> list[dict[str, Any]]:
    """Records that a log scale can show."""
    return [row for row in series.rows(columns) if row["ms"] > 0]


def _seconds(language: str) -> alt.X:
    return alt.X(
        "seconds:Q",
        title=say(language, "charts.seconds"),
        scale=alt.Scale(nice=False),
        axis=alt.Axis(tickCount=7),
    )
