"""A sweep: latencies and goodput against the request rate, one line per scheduler."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt

from minillm.charts.look import HUES, INK, QUIET, SHAPES, Layered, finished

_WIDTH, _HEIGHT = 380, 340
_DASHES = [[1, 0], [6, 3]]

Row = Mapping[str, Any]


def sweep_chart(rows: Iterable[Row]) -> alt.TopLevelMixin:
    """p99 TTFT and p99 ITL (ms, logarithmic), and goodput, or throughput where no limits were
    given, against the request rate. `rows` have the keys of `minillm bench sweep`. Infinite rates
    have no place on an axis and are left out."""
    rows = [row for row in rows if math.isfinite(_rate(row))]
    rates = [_rate(row) for row in rows]
    wide = bool(rates) and max(rates) >= 8 * min(rates)
    x = alt.X(
        "rate:Q",
        title="requests per second",
        scale=alt.Scale(type="log" if wide else "linear", nice=False, zero=False),
        axis=alt.Axis(values=sorted(set(rates)), format="~g", labelOverlap=True, grid=False),
    )
    names = list(dict.fromkeys(row["scheduler"] for row in rows))
    good = any(row["request_goodput"] is not None for row in rows)
    what, title = ("request_goodput", "Goodput") if good else ("request_throughput", "Throughput")
    limit = rows[0].get("goodput_ttft_ms") if rows else None
    panels = [
        _latency(rows, names, "p99_ttft_ms", "99th percentile of TTFT", x, limit),
        _latency(rows, names, "p99_itl_ms", "99th percentile of ITL", x, None),
        _served(rows, names, what, f"{title}, requests per second", x),
    ]
    return finished(alt.hconcat(*panels, spacing=32).properties(title=_title(rows)))


def _title(rows: list[Row]) -> alt.Title:
    if not rows:
        return alt.Title("No finite rates")
    first = rows[0]
    devices = first.get("tensor_parallel") or 1
    parts = [f"{first['model']} on {devices} × {first['hardware']}", str(first["dataset_name"])]
    limits = [
        f"{name.upper()} ≤ {first[key]:g} ms"
        for name in ("ttft", "tpot", "e2el")
        if first.get(key := f"goodput_{name}_ms") is not None
    ]
    told = f"A request is good with {', '.join(limits)}." if limits else ""
    return alt.Title(" · ".join(parts), subtitle=told) if told else alt.Title(" · ".join(parts))


def _latency(
    rows: list[Row], names: list[str], key: str, title: str, x: alt.X, limit: float | None
) -> Layered:
    y = alt.Y(
        "value:Q", title=None, scale=alt.Scale(type="log"), axis=alt.Axis(format=",~g", tickCount=5)
    )
    layers: list[Any] = [_lines(rows, names, key, x, y)]
    if limit:
        at = alt.Chart(alt.Data(values=[{"value": limit, "label": f"limit {limit:g} ms"}]))
        layers.append(at.mark_rule(color=INK, strokeDash=[4, 4]).encode(y=y))
        layers.append(
            at.mark_text(align="left", dx=4, dy=-9, fontSize=15, color=INK).encode(
                x=alt.value(0), y=y, text="label:N"
            )
        )
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT, title=f"{title}, ms")


def _served(rows: list[Row], names: list[str], key: str, title: str, x: alt.X) -> Layered:
    y = alt.Y("value:Q", title=None)
    offered = [{"rate": rate, "value": rate} for rate in sorted({_rate(row) for row in rows})]
    line = alt.Chart(alt.Data(values=offered)).mark_line(color=QUIET, strokeDash=[4, 4])
    word = alt.Chart(alt.Data(values=offered[-1:])).mark_text(
        text="offered", align="right", dx=-36, dy=6, fontSize=15, color=QUIET
    )
    layers = [line.encode(x=x, y=y), word.encode(x=x, y=y), _lines(rows, names, key, x, y)]
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT, title=title)


def _lines(rows: list[Row], names: list[str], key: str, x: alt.X, y: alt.Y) -> Layered:
    values = [
        {"rate": _rate(row), "scheduler": row["scheduler"], "value": row[key]}
        for row in rows
        if row[key] is not None and (row[key] > 0 or key.startswith("request"))
    ]
    count = range(len(names))
    colours = alt.Scale(domain=names, range=[HUES[i % len(HUES)] for i in count])
    shapes = alt.Scale(domain=names, range=[SHAPES[i % len(SHAPES)] for i in count])
    dashes = alt.Scale(domain=names, range=[_DASHES[i // len(HUES) % 2] for i in count])
    legend = alt.Legend(title=None, orient="top", columns=8, symbolStrokeWidth=0)
    base = alt.Chart(alt.Data(values=values)).encode(
        x=x,
        y=y,
        color=alt.Color("scheduler:N", scale=colours, legend=legend),
        shape=alt.Shape("scheduler:N", scale=shapes, legend=legend),
        tooltip=["scheduler:N", "rate:Q", alt.Tooltip("value:Q", format=",.2f")],
    )
    lines = base.mark_line(strokeWidth=2.5).encode(
        strokeDash=alt.StrokeDash("scheduler:N", scale=dashes, legend=None)
    )
    return lines + base.mark_point(filled=True, size=90, opacity=1)


def _rate(row: Row) -> float:
    return float(row["request_rate"])
