"""The kernel benchmark: who reads keys and values how fast, who computes how fast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt

from minillm.charts.look import BLUE, INK, QUIET, finished

_WIDTH, _BAR = 420, 22

Row = Mapping[str, Any]


def kernels_chart(result: Mapping[str, Any]) -> alt.TopLevelMixin:
    """Bars per batch. Left, where memory is the limit: bytes read a second, over those of a copy;
    right, where computing is: TFLOP/s. `result` has the keys of `minillm bench kernels --output`;
    what was not measured has no bar."""
    rows: list[Row] = result["rows"]
    title = alt.Title(
        f"Attention over paged keys on {result['machine']['device']}",
        subtitle=f"A copy moves {result['copy_gb_per_s']:,.0f} GB/s, read and written.",
    )
    panels = [
        _panel(rows, "of_copy", "of the copy bandwidth", "%", line=1.0),
        _panel(rows, "tflops", "TFLOP/s", "~g", line=None),
    ]
    return finished(alt.hconcat(*panels, spacing=32).properties(title=title))


def _panel(rows: Iterable[Row], key: str, title: str, form: str, line: float | None) -> Any:
    values = [
        {
            "bar": f"{row['case']} · {row['contender']}",
            "value": row[key],
            "own": row["contender"].startswith(("minillm", "write_kv")),
        }
        for row in rows
        if row.get(key) is not None
    ]
    names = [value["bar"] for value in values]
    x = alt.X("value:Q", title=title, axis=alt.Axis(format=form))
    y = alt.Y("bar:N", sort=names, title=None, axis=alt.Axis(labelLimit=420))
    colour = alt.Color(
        "own:N", scale=alt.Scale(domain=[True, False], range=[BLUE, QUIET]), legend=None
    )
    bars = alt.Chart(alt.Data(values=values)).mark_bar().encode(x=x, y=y, color=colour)
    layers: list[Any] = [bars]
    if line is not None:
        at = alt.Chart(alt.Data(values=[{"value": line}]))
        layers.append(at.mark_rule(color=INK, strokeDash=[4, 4]).encode(x=x))
    return alt.layer(*layers).properties(width=_WIDTH, height=max(_BAR * len(values), _BAR))
