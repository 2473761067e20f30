"""KV memory over time in several memories side by side, on one axis."""

from __future__ import annotations

from typing import Any

import altair as alt

from backstage.memory_marks import SIGNS, marks
from minillm.charts.look import GREEN, VERMILION, Layered, Theme, finished
from minillm.charts.series import memory_over_time, rows
from minillm.messages import say
from minillm.trace.memory import KINDS
from minillm.trace.trace import Trace

_PANEL = (352, 235)  # px
_POINTS = 150
# Green is used; its tint will be. Warm colours are waste. What is left is to be had.
_COLOURS = {
    "token": GREEN,
    "reserved": "#7fcdb0",
    "internal": "#f0b429",
    "external": VERMILION,
    "cached": "#8fa3c4",
    "free": "transparent",
}
_TOP = 10  # px, of the signs


def memory_chart(runs: dict[str, Trace], language: str, theme: Theme) -> alt.TopLevelMixin:
    """One panel for each of `runs` (by the name of its memory): the pool as a stack over engine
    seconds, what is in use at the bottom."""
    until = max(trace.duration for trace in runs.values())
    names = {kind: say(language, f"memory.kind_{kind}") for kind in KINDS}
    colours = alt.Scale(domain=list(names.values()), range=[_COLOURS[kind] for kind in KINDS])
    panels = [
        alt.layer(
            _panel(trace, until, names, colours, language, theme, first=index == 0),
            _marks(marks(trace), until, language, theme),
        ).properties(title=_title(memory, trace, language))
        for index, (memory, trace) in enumerate(runs.items())
    ]
    chart = alt.hconcat(*panels, spacing=24).resolve_scale(color="shared")
    styled = finished(chart, theme).configure_title(  # type: ignore[attr-defined]
        fontSize=16, subtitleFontSize=15, anchor="start", color=theme.ink,
        subtitleColor=theme.ink, offset=8,
    )  # fmt: skip
    return styled.configure_legend(
        orient="bottom", labelFontSize=15, labelColor=theme.ink, labelLimit=400, symbolType="square"
    )


def _panel(
    trace: Trace,
    until: float,
    names: dict[str, str],
    colours: alt.Scale,
    language: str,
    theme: Theme,
    *,
    first: bool,
) -> alt.Chart:
    data = [
        row | {"name": names[row["kind"]], "order": KINDS.index(row["kind"])}
        for row in rows(memory_over_time(trace, _POINTS))
    ]
    return (
        alt.Chart(alt.Data(values=data))
        .mark_area(interpolate="step-after")
        .encode(
            x=alt.X(
                "seconds:Q",
                title=say(language, "memory.seconds"),
                scale=alt.Scale(domain=[0, until], nice=False),
            ),
            y=alt.Y(
                "share:Q",
                title=say(language, "memory.slots") if first else None,
                scale=alt.Scale(domain=[0, 100]),
            ),
            color=alt.Color(
                "name:N",
                scale=colours,
                legend=alt.Legend(title=None, symbolStrokeColor=theme.quiet),
            ),
            order="order:Q",
            tooltip=["name:N", alt.Tooltip("share:Q", format=".1f"), "seconds:Q"],
        )
        .properties(width=_PANEL[0], height=_PANEL[1])
    )


def _title(memory: str, trace: Trace, language: str) -> alt.Title:
    told = say(
        language,
        "memory.panel",
        share=f"{trace.memory().shares()['token']:.0f} %",
        running=max(trace.series.running, default=0),
        end=f"{trace.duration:.2f} s",
    )
    return alt.Title(memory, subtitle=told)


def _marks(moved: list[dict[str, Any]], until: float, language: str, theme: Theme) -> Layered:
    """A hair through the pool for each time that memory was taken back, and its sign on top, with
    an edge of paper."""
    data = [
        row | {"sign": SIGNS[row["kind"]], "name": say(language, f"memory.mark_{row['kind']}")}
        for row in moved
    ]
    base = alt.Chart(alt.Data(values=data)).encode(
        x=alt.X("seconds:Q", scale=alt.Scale(domain=[0, until], nice=False)),
        tooltip=["name:N", "request:N", alt.Tooltip("seconds:Q", format=".3f")],
    )
    signs = base.encode(y=alt.value(_TOP), text="sign:N")
    # Hidden from screen readers: the marks of a run are told below the chart.
    text = {"fontSize": 19, "aria": False}
    edge = signs.mark_text(color=theme.paper, stroke=theme.paper, strokeWidth=6, **text)
    hairs = base.mark_rule(color=theme.ink, opacity=0.5, strokeDash=[2, 3], aria=False)
    return hairs + edge + signs.mark_text(fontWeight="bold", color=theme.ink, **text)
