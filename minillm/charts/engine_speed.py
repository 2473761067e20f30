"""How fast minillm and transformers serve the same requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from minillm.charts.look import BLUE, INK, QUIET, VERMILION, Layered, finished

_WIDTH, _BAR = 560, 34


def engine_speed_chart(result: Mapping[str, Any]) -> alt.TopLevelMixin:
    """Output tokens per second: one panel per case, one bar per contender, a tick per round.
    `result` is that of `minillm bench engine`."""
    rows, machine = result["rows"], result["machine"]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    panels = [_panel(case, [row for row in rows if row["case"] == case]) for case in cases]
    told = f"{machine['device']} · {result['dtype']} · torch {machine['torch']}"
    ticks = "Bar and number: the median. Ticks: the rounds."
    title = alt.Title("Output tokens per second", subtitle=[told, ticks], offset=20)
    return finished(alt.vconcat(*panels, spacing=24).properties(title=title))


def _panel(case: str, rows: list[Mapping[str, Any]]) -> Layered:
    names = [row["contender"] for row in rows]
    values = [
        {
            "who": row["contender"],
            "speed": row["tokens_per_s"],
            "end": max([row["tokens_per_s"], *row["rounds"]]),
        }
        for row in rows
    ]
    rounds = [{"who": row["contender"], "speed": speed} for row in rows for speed in row["rounds"]]
    y = alt.Y(
        "who:N", sort=names, title=None, axis=alt.Axis(labelLimit=340, ticks=False, minExtent=300)
    )
    x = alt.X("speed:Q", title=None, axis=alt.Axis(format=",.0f", tickCount=6))
    colours = [_colour(name) for name in names]
    base = alt.Chart(alt.Data(values=values)).encode(x=x, y=y)
    bars = base.mark_bar(height=_BAR * 0.6).encode(
        color=alt.Color("who:N", scale=alt.Scale(domain=names, range=colours), legend=None)
    )
    words = base.mark_text(align="left", dx=8, fontSize=15, color=INK).encode(
        x="end:Q", text=alt.Text("speed:Q", format=",.0f")
    )
    ticks = (
        alt.Chart(alt.Data(values=rounds))
        .mark_tick(color=INK, opacity=0.5, size=_BAR * 0.6)
        .encode(x=x, y=y)
    )
    layers = alt.layer(bars, ticks, words)
    return layers.properties(width=_WIDTH, height=_BAR * len(rows), title=case)


def _colour(name: str) -> str:
    if name.startswith("minillm"):
        return BLUE
    return VERMILION if name.startswith("transformers") else QUIET
