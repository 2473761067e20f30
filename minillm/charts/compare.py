"""Runs compared: the distributions of their latencies."""

from __future__ import annotations

from typing import Any

import altair as alt

from minillm.charts.look import HUES, PRINT, Layered, Theme, finished
from minillm.messages import DEFAULT, say
from minillm.trace.compare import LATENCIES, Comparison

_WIDTH, _HEIGHT = 310, 210
_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3])
_WIDE = 20  # times the smallest: on a logarithmic axis


def ecdf_rows(comparison: Comparison, name: str) -> list[dict[str, Any]]:
    """Rows `run`, `ms` and `share` (%) of the latency `name`, in rising order per run."""
    return [
        {"run": run, "ms": ms, "share": 100 * share}
        for run, curve in zip(comparison.names, comparison.ecdf(name), strict=True)
        for ms, share in curve
    ]


def ecdf_chart(
    comparison: Comparison, language: str = DEFAULT, theme: Theme = PRINT
) -> alt.TopLevelMixin:
    """TTFT, TPOT, ITL and E2EL: the share of the measured values that are no larger, by run."""
    panels = [_panel(comparison, name, language) for name in LATENCIES]
    rows = [alt.hconcat(*panels[:2], spacing=36), alt.hconcat(*panels[2:], spacing=36)]
    title = alt.Title(
        say(language, "charts.compare_ecdf"),
        subtitle=say(language, "charts.compare_ecdf_key"),
        offset=18,
    )
    return finished(alt.vconcat(*rows, spacing=28).properties(title=title), theme)


def _panel(comparison: Comparison, name: str, language: str) -> Layered | alt.Chart:
    rows = [row for row in ecdf_rows(comparison, name) if row["ms"] > 0]
    values = [row["ms"] for row in rows]
    wide = bool(values) and max(values) >= _WIDE * min(values)
    names = list(comparison.names)
    legend = alt.Legend(title=None, orient="top", columns=2)
    return (
        alt.Chart(alt.InlineData(rows))
        .mark_line(interpolate="step-after", strokeWidth=2.5)
        .encode(
            x=alt.X(
                "ms:Q",
                title=say(language, "charts.compare_ms"),
                scale=alt.Scale(type="log" if wide else "linear", nice=False, zero=False),
                axis=alt.Axis(tickCount=5, format=",~r"),
            ),
            y=alt.Y(
                "share:Q",
                title="%",
                scale=alt.Scale(domain=[0, 100]),
                axis=alt.Axis(values=[0, 25, 50, 75, 100], titleAngle=0),
            ),
            color=alt.Color(
                "run:N",
                scale=alt.Scale(domain=names, range=list(HUES[: len(names)])),
                legend=legend,
            ),
            strokeDash=alt.StrokeDash(
                "run:N",
                scale=alt.Scale(domain=names, range=list(_DASHES[: len(names)])),
                legend=legend,
            ),
            tooltip=[
                alt.Tooltip("run:N", title=say(language, "charts.compare_run")),
                alt.Tooltip("ms:Q", title=say(language, "charts.compare_ms"), format=",.2f"),
                alt.Tooltip("share:Q", title="%", format=".0f"),
            ],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title=say(language, f"charts.compare_{name}"))
    )
