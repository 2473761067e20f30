"""The roofline: what a device can attain at each intensity, and where the operators are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from minillm.charts.look import DECODE, PREFILL, PRINT, Layered, Theme, finished
from minillm.messages import DEFAULT, say

_NEAR = 0.16  # decades: points nearer than that share a point and a label
_SMALL = 0.05  # of a group's time: not named
_ROOM = 30  # times the largest intensity: for the labels to its right
_SIZE = 540, 420  # px of a panel
_ROW = 24  # px, of a label
_LONG = 26  # characters: a label that is longer is broken
_COLOURS = {"prefill": PREFILL, "decode": DECODE}

Row = Mapping[str, Any]


def roofline_chart(
    title: str,
    rows: Iterable[Row],
    flops: float,
    bandwidth: float,
    *,
    language: str = DEFAULT,
    theme: Theme = PRINT,
    size: tuple[int, int] = _SIZE,
) -> alt.TopLevelMixin:
    """Prefill and decode side by side, each operator on the roof at its intensity.

    `rows`: operators, with `stage` ("prefill" or "decode"), `name`, `ops`, `bytes` and `seconds`.
    `flops` (operations per second) and `bandwidth` (bytes per second) make the roof. The area of a
    point is the share of time; operators of about the same intensity are one point.
    """
    rows = list(rows)
    intensities = [row["ops"] / row["bytes"] for row in rows]
    ridge = flops / bandwidth
    left = 10 ** math.floor(math.log10(min(*intensities, 1.0)))
    right = 10 ** math.ceil(math.log10(_ROOM * max(*intensities, ridge)))
    axes = _Axes(left, right, bandwidth * left, 3 * flops, language, theme, size)
    panels = [
        _panel(stage, [row for row in rows if row["stage"] == stage], axes, flops, bandwidth)
        for stage in _COLOURS
    ]
    chart = alt.hconcat(*panels, spacing=36).properties(
        title=alt.Title(
            title,
            subtitle=say(language, "roofline.subtitle", ridge=round(ridge)),
            offset=18,
        )
    )
    return finished(chart, theme)


class _Axes:
    """The same in both panels: logarithmic, in operations per byte and per second; and the words
    and the look."""

    def __init__(
        self,
        left: float,
        right: float,
        bottom: float,
        top: float,
        language: str,
        theme: Theme,
        size: tuple[int, int],
    ) -> None:
        self.left, self.right = left, right
        self.language, self.theme = language, theme
        self.width, self.height = size
        self._y = alt.Scale(type="log", domain=[bottom, top], nice=False)
        self._x = alt.Scale(type="log", domain=[left, right], nice=False)
        decades = range(round(math.log10(left)), round(math.log10(right)) + 1)
        self._ticks = [10.0**power for power in decades]

    def x(self) -> alt.X:
        axis = alt.Axis(values=self._ticks, format=",~g", grid=False)
        title = say(self.language, "roofline.intensity")
        return alt.X("intensity:Q", title=title, scale=self._x, axis=axis)

    def y(self, title: str | None) -> alt.Y:
        axis = alt.Axis(format="~s", values=[10.0**power for power in range(6, 18)])
        return alt.Y("rate:Q", title=title, scale=self._y, axis=axis)


def _panel(stage: str, rows: Sequence[Row], axes: _Axes, flops: float, bandwidth: float) -> Layered:
    ridge, colour = flops / bandwidth, _COLOURS[stage]

    def attained(intensity: float) -> float:
        return min(flops, intensity * bandwidth)

    x, y = axes.x(), axes.y(say(axes.language, "roofline.rate") if stage == "prefill" else None)
    roof = [{"intensity": i, "rate": attained(i)} for i in (axes.left, ridge, axes.right)]
    line = _values(roof).mark_line(color=axes.theme.ink, strokeWidth=2.5).encode(x=x, y=y)
    quiet = axes.theme.quiet
    rule = _values([{"intensity": ridge}]).mark_rule(color=quiet, strokeDash=[4, 4]).encode(x=x)
    total = sum(row["seconds"] for row in rows)
    points = [
        {
            "intensity": intensity,
            "rate": attained(intensity),
            "share": seconds / total,
            "label": _label(names, seconds / total),
            "flat": intensity > ridge,
        }
        for names, intensity, seconds in _groups(rows)
    ]
    marks = (
        _values(points)
        .mark_point(filled=True, color=colour, opacity=0.85, stroke=axes.theme.paper, strokeWidth=1)
        .encode(
            x=x,
            y=y,
            size=alt.Size("share:Q", scale=alt.Scale(domain=[0, 1], range=[70, 1600]), legend=None),
            tooltip=["label:N", alt.Tooltip("intensity:Q", format=",.2f")],
        )
    )
    labels: list[Any] = [_beside([p for p in points if not p["flat"]], x, y, axes.theme)]
    labels += _below([p for p in points if p["flat"]], x, y, axes.theme)
    heading = say(axes.language, f"roofline.{stage}", time=_time(total))
    return alt.layer(rule, line, *labels, marks).properties(
        width=axes.width, height=axes.height, title=alt.Title(heading, color=colour)
    )


def _beside(points: Sequence[Row], x: alt.X, y: alt.Y, theme: Theme) -> Layered:
    """Labels to the right of points on the slope."""
    return _text(points, x, y, theme, baseline="middle", dx=22, dy=8)


def _below(points: Sequence[Row], x: alt.X, y: alt.Y, theme: Theme) -> list[Any]:
    """Labels under points on the flat: the further left, the deeper, so that none is crossed."""
    layers, depth = [], 34
    for point in sorted(points, key=lambda point: -point["intensity"]):
        leader = _values([point]).mark_rule(color=theme.quiet, y2Offset=depth + 6)
        layers.append(leader.encode(x=x, y=y, y2=alt.Y2("rate:Q")))
        layers.append(_text([point], x, y, theme, baseline="top", dx=6, dy=depth - 8))
        depth += _ROW * (point["label"].count("\n") + 1)
    return layers


def _text(points: Sequence[Row], x: alt.X, y: alt.Y, theme: Theme, **place: Any) -> Layered:
    """Labels with an edge of paper, so that lines behind them do not disturb."""
    base = _values(points).encode(x=x, y=y, text="label:N")
    place |= {"fontSize": 16, "align": "left", "lineBreak": "\n"}
    edge = base.mark_text(color=theme.paper, stroke=theme.paper, strokeWidth=6, **place)
    return edge + base.mark_text(color=theme.ink, **place)


def _groups(rows: Sequence[Row]) -> list[tuple[list[str], float, float]]:
    """(names, intensity, seconds) of operators near each other; the intensity is the group's. What
    hardly counts in a group is not named."""
    groups: list[list[Row]] = []
    last = -math.inf
    for row in sorted(rows, key=lambda row: row["ops"] / row["bytes"]):
        place = math.log10(row["ops"] / row["bytes"])
        if place - last > _NEAR:
            groups.append([])
            last = place
        groups[-1].append(row)
    found = []
    for group in groups:
        seconds = sum(row["seconds"] for row in group)
        intensity = sum(row["ops"] for row in group) / sum(row["bytes"] for row in group)
        named = [r for r in rows if r in group and r["seconds"] >= _SMALL * seconds]
        found.append(([row["name"] for row in named], intensity, seconds))
    return found


def _label(names: Sequence[str], share: float) -> str:
    """Of q_proj, k_proj, …: "q, k, … 12%". What two parts of a layer have in common is named
    once."""
    short = dict.fromkeys(
        name.removesuffix("_proj").removeprefix("attn_").removeprefix("mlp_").replace("_", " ")
        for name in names
    )
    lines = [""]
    for name in short:
        if len(lines[-1]) + len(name) > _LONG:
            lines.append("")
        lines[-1] += f"{name}, "
    told = "<1%" if share < 0.01 else f"{share:.0%}"
    return "\n".join(lines).removesuffix(", ") + f"  {told}"


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:,.0f} µs"


def _values(rows: Sequence[Row]) -> alt.Chart:
    return alt.Chart(alt.Data(values=[dict(row) for row in rows]))
