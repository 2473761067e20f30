"""The kernel benchmark: who reads keys and values how fast, who computes how fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from minillm.charts.look import BLUE, INK, QUIET, finished

_WIDTH, _STEP = 460, 26  # px; of a bar and the gap to the next

Row = Mapping[str, Any]


def kernels_chart(result: Mapping[str, Any]) -> alt.TopLevelMixin:
    """Bars by batch. First, where memory is the limit: bytes read a second, over those of a copy;
    then, where computing is: operations a second. `result` has the keys of `minillm bench kernels
    --output`; what was not measured has no bar."""
    rows: list[Row] = result["rows"]
    copy = f"a copy moves {result['copy_gb_per_s']:,.0f} GB/s, read and written"
    title = alt.Title(
        "Attention over paged keys", subtitle=f"{result['machine']['device']} · {copy}", offset=20
    )
    slow = max((row.get("tflops") or 0 for row in rows), default=0) < 1
    unit, name = (1e3, "GFLOP/s") if slow else (1, "TFLOP/s")
    panels = [
        _panel(rows, "of_copy", 1, "of the copy bandwidth", ".0%", line=True),
        _panel(rows, "tflops", unit, name, ",.3~r", line=False),
    ]
    return finished(alt.vconcat(*panels, spacing=28).properties(title=title))


def _panel(rows: list[Row], key: str, unit: float, title: str, form: str, line: bool) -> Any:
    """One facet per batch. `line`: at 1."""
    values = [
        {
            "batch": row["case"],
            "by": row["contender"],
            "value": row[key] * unit,
            "own": row["contender"].startswith(("minillm", "write_kv")),
        }
        for row in rows
        if row.get(key) is not None
    ]
    batches = list(dict.fromkeys(value["batch"] for value in values))
    names = list(dict.fromkeys(value["by"] for value in values))
    x = alt.X("value:Q", title=title, axis=alt.Axis(format=form, tickCount=6))
    y = alt.Y("by:N", sort=names, title=None, axis=alt.Axis(minExtent=176, ticks=False))
    colours = alt.Scale(domain=[True, False], range=[BLUE, QUIET])
    base = alt.Chart().encode(x=x, y=y)
    bars = base.mark_bar(height=_STEP * 0.7).encode(
        color=alt.Color("own:N", scale=colours, legend=None)
    )
    number = alt.Text("value:Q", format=form)
    halo = base.mark_text(align="left", dx=6, fontSize=14, stroke="white", strokeWidth=5)
    words = base.mark_text(align="left", dx=6, fontSize=14, color=INK)
    layers: list[Any] = [bars, halo.encode(text=number), words.encode(text=number)]
    if line:
        rule = alt.Chart().mark_rule(color=INK, strokeDash=[4, 4])
        layers.insert(1, rule.encode(x=alt.datum(1)))
    header = alt.Header(
        title=None, labelAngle=0, labelAlign="left", labelFontSize=15, labelFontWeight="bold",
        labelColor=INK, labelLimit=380, labelPadding=8,
    )  # fmt: skip
    return (
        alt.layer(*layers, data=alt.Data(values=values))
        .properties(width=_WIDTH, height=alt.Step(_STEP))
        .facet(row=alt.Row("batch:N", sort=batches, header=header), spacing=10)
        .resolve_scale(y="independent")
    )
