"""The lessons' own charts: rows of figures, as a student has them, with minillm's look.

A notebook shows charts as SVG, drawn in Python by vl-convert: JupyterLab, GitHub and nbviewer show
it alike, without a network and without a kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from minillm.charts.look import HUES, SHAPES, finished

WIDTH, HEIGHT = 560, 280  # px
DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3], [10, 4], [4, 4], [12, 2]]
Row = dict[str, Any]


def use_offline_renderer() -> None:
    """Have Altair draw SVG. Its default asks for a script from the network."""
    alt.renderers.enable("svg")


def line_chart(
    rows: Sequence[Row],
    x: str,
    y: str,
    color: str | None = None,
    *,
    title: str = "",
    log: bool = False,
    points: bool = True,
    width: int = WIDTH,
) -> alt.TopLevelMixin:
    """`y` over `x`, a line for each value of `color`: names of the rows' figures, which also stand
    at the axes, so give them units. `log`: both axes."""
    scale = alt.Scale(type="log") if log else alt.Scale(zero=True)
    whole = all(isinstance(row[x], int) for row in rows)
    axis = alt.Axis(tickMinStep=1 if whole else 0, labelOverlap="greedy", labelSeparation=8)
    encoding: dict[str, Any] = {
        "x": alt.X("x", type="quantitative", title=x, scale=scale, axis=axis),
        "y": alt.Y("y", type="quantitative", title=y, scale=scale),
    }
    mark: dict[str, Any] = {"strokeWidth": 2.5, "color": HUES[0]}
    if points:
        mark["point"] = {"size": 60, "filled": True} | ({} if color else {"color": HUES[0]})
    if color:
        names = list(dict.fromkeys(row[color] for row in rows))
        about: dict[str, Any] = {"shorthand": "color", "type": "nominal"}
        about["legend"] = alt.Legend(title=None, orient="top")
        count = len(names)
        encoding["color"] = alt.Color(
            **about, scale=alt.Scale(domain=names, range=list(HUES[:count]))
        )
        dashes = alt.Scale(domain=names, range=DASHES[:count])
        encoding["strokeDash"] = alt.StrokeDash(**about, scale=dashes)
        if points:  # these are what the legend shows
            encoding["strokeDash"] = encoding["strokeDash"].legend(None)
            encoding["shape"] = alt.Shape(
                **about, scale=alt.Scale(domain=names, range=list(SHAPES[:count]))
            )
    chart = alt.Chart(_data(rows, x=x, y=y, color=color)).mark_line(**mark).encode(**encoding)
    return finished(chart.properties(width=width, height=HEIGHT, title=title))


def bar_chart(
    rows: Sequence[Row], x: str, y: str, *, title: str = "", width: int = WIDTH
) -> alt.TopLevelMixin:
    """A bar of length `x` for each row, named by `y` and with its figure at its end."""
    order = [row[y] for row in rows]
    base = alt.Chart(_data(rows, x=x, y=y)).encode(
        y=alt.Y("y", type="nominal", sort=order, title=None, axis=alt.Axis(labelLimit=320)),
        x=alt.X("x", type="quantitative", title=x),
    )
    bars = base.mark_bar(color=HUES[0], height={"band": 0.6})
    figures = base.mark_text(align="left", dx=5, fontSize=15).encode(
        text=alt.Text("x", type="quantitative", format=",.3~r")
    )
    return finished(
        alt.layer(bars, figures).properties(width=width, height=44 * len(rows), title=title)
    )


def _data(rows: Sequence[Row], **columns: str | None) -> alt.Data:
    """The figures by the channel that shows them: their own names may be any text, and Vega would
    read dots, colons and quotes in a field's name."""
    named = {channel: name for channel, name in columns.items() if name}
    return alt.Data(values=[{key: row[name] for key, name in named.items()} for row in rows])
