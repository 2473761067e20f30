"""Who waited for whom: a bar for each request's life, and the waiter × culprit heat map.

`life_rows` and `matrix_rows` hold the figures; the charts draw them. A page reads what is clicked
from the selections `LIFE` and `CELL` (Streamlit: `event.selection[CELL]`, a list of objects with
`waiter`, `culprit`, `step`; of `LIFE`: `request`, `step`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import altair as alt

from minillm.charts.look import DARK, PRINT, Theme, finished, hues
from minillm.messages import DEFAULT, say
from minillm.trace.culprits import ITSELF, NOBODY_ELSE
from minillm.trace.lives import KINDS, Life, Lives, Matrix

LIFE, CELL = "life", "cell"
MOST_LIVES, MOST_CELLS = 24, 16  # requests on an axis

_IN_BATCH = ("recompute", "prefill", "decode", "interference")
_PALE = ("recompute", "prefill")
_ROW, _THICK, _THIN = 36, 20, 8  # px
_NAMED = 0.035  # of the axis: a part as long as that bears its culprit's id
_WIDTH, _SIDE = 820, 34  # px; of a cell
_FONT = 14
_HEAT = {False: ("#fbf1e8", "#c64f00"), True: ("#2a2320", "#ff8f45")}  # dark: little → much

Row = dict[str, Any]


def shown(lives: Lives, most: int = MOST_LIVES) -> list[Life]:
    """The lives that a chart has room for, in order of arrival: those that lost most to others,
    then the longest."""
    lost = {id: sum(_ns(kinds) for kinds in life.by_others().values())
            for id, life in lives.requests.items()}  # fmt: skip
    chosen = sorted(lives.requests.values(), key=lambda each: (-lost[each.id], -each.ns))[:most]
    kept = {life.id for life in chosen}
    return [life for id, life in lives.requests.items() if id in kept]


def life_rows(lives: Iterable[Life]) -> list[Row]:
    """Per life its parts, stacked in the order of `KINDS`, then of culprits: `request`, `kind`,
    `culprit`, `from` and `to` (ms since arrival), `ms`, and `step`, where most of it was lost or,
    of its own work, where it began."""
    rows = []
    lives = list(lives)
    place = {life.id: number for number, life in enumerate(lives)}  # colours in one order
    for life in lives:
        at, totals = 0, life.totals()
        began: dict[str, int] = {}
        for segment in life.segments:
            began.setdefault(segment.kind, segment.first)
        for kind in KINDS:
            parts = totals.get(kind, {})
            for culprit in sorted(parts, key=lambda id: place.get(id, -1)):
                ns = parts[culprit]
                worst = life.worst.get(culprit) if culprit != ITSELF else None
                rows.append(
                    {
                        "request": life.id,
                        "kind": kind,
                        "culprit": culprit,
                        "from": at / 1e6,
                        "to": (at + ns) / 1e6,
                        "ms": ns / 1e6,
                        "step": worst[0] if worst else began.get(kind, life.segments[0].first),
                    }
                )
                at += ns
    return rows


def matrix_rows(matrix: Matrix) -> list[Row]:
    """One row per cell: `waiter`, `culprit`, `ms` and `step`."""
    return [
        {"waiter": cell.waiter, "culprit": cell.culprit, "ms": cell.ns / 1e6, "step": cell.step}
        for cell in matrix.cells
    ]


def life_chart(
    lives: Lives, language: str = DEFAULT, theme: Theme = PRINT, *, most: int = MOST_LIVES
) -> alt.TopLevelMixin:
    """Per request a bar of its life. Colour: whose work a part was; thick: in the batch (pale:
    prefill), thin: not in it. Selection: `LIFE`."""
    chosen = shown(lives, most)
    rows = life_rows(chosen)
    colour = hues(lives.requests)
    end = max((row["to"] for row in rows), default=0.0)
    unit, per = ("s", 1e3) if end >= 10_000 else ("ms", 1.0)
    for row in rows:
        row |= {
            "from": row["from"] / per,
            "to": row["to"] / per,
            "what": say(language, f"charts.kind_{row['kind']}"),
            "who": _who(row, language),
            "hue": colour.get(row["request"] if row["culprit"] == ITSELF else row["culprit"],
                              theme.quiet),
            "thick": _THICK if row["kind"] in _IN_BATCH else _THIN,
            "full": 0.45 if row["kind"] in _PALE else 1.0,
            "name": _name(row, end),
        }  # fmt: skip
    base = alt.Chart(alt.NamedData("lives")).encode(
        x=alt.X(
            "from:Q",
            title=say(language, f"charts.since_arrival_{unit}"),
            scale=alt.Scale(domain=[0, max(end / per, 1e-9)], nice=False),
            axis=alt.Axis(tickCount=8),
        ),
        y=alt.Y(
            "request:N",
            title=say(language, "charts.request"),
            sort=[life.id for life in chosen],
            axis=alt.Axis(grid=False, titleAngle=0, titleAlign="left", titleY=-12, titleX=-36),
        ),
    )
    bars = (
        base.mark_bar(stroke=None)
        .encode(
            x2="to:Q",
            size=alt.Size("thick:Q", scale=None),
            color=alt.Color("hue:N", scale=None),
            opacity=alt.Opacity("full:Q", scale=None),
            tooltip=[
                alt.Tooltip("request:N", title=say(language, "charts.request")),
                alt.Tooltip("what:N", title=say(language, "charts.what")),
                alt.Tooltip("who:N", title=say(language, "charts.owed_to")),
                alt.Tooltip("ms:Q", title=say(language, "charts.ms"), format=",.2f"),
                alt.Tooltip("step:Q", title=say(language, "charts.step"), format=",d"),
            ],
        )
        .add_params(alt.selection_point(name=LIFE, fields=["request", "step"]))
    )
    names = base.mark_text(
        align="left", baseline="bottom", dy=-5, dx=1, fontSize=_FONT, color=theme.ink
    ).encode(text="name:N")
    title = alt.Title(
        say(language, "charts.lives"),
        subtitle=_told(say(language, "charts.lives_key"), lives, len(chosen), language),
        anchor="start",
    )
    chart = alt.layer(bars, names, datasets={"lives": rows}).properties(
        width=_WIDTH, height=alt.Step(_ROW), title=title, name="lives"
    )
    return finished(chart, theme)


def matrix_chart(
    matrix: Matrix, language: str = DEFAULT, theme: Theme = PRINT
) -> alt.TopLevelMixin:
    """Who waited for whom, in ms: waiters down, culprits across. Selection: `CELL`."""
    rows = matrix_rows(matrix)
    most = max((row["ms"] for row in rows), default=1.0)
    base = alt.Chart(alt.NamedData("matrix")).encode(
        x=alt.X(
            "culprit:N",
            title=say(language, "charts.culprit"),
            sort=matrix.culprits,
            axis=alt.Axis(orient="top", labelAngle=0, grid=False, domain=False, ticks=False),
        ),
        y=alt.Y(
            "waiter:N",
            title=say(language, "charts.waiter"),
            sort=matrix.waiters,
            axis=alt.Axis(
                grid=False,
                domain=False,
                ticks=False,
                titleAngle=0,
                titleAlign="right",
                titleX=-8,
                titleY=-12,
            ),
        ),
    )
    cells = (
        base.mark_rect(cursor="pointer")
        .encode(
            color=alt.Color(
                "ms:Q",
                scale=alt.Scale(type="sqrt", domain=[0, most], range=list(_HEAT[theme is DARK])),
                legend=None,  # the figures are in the cells
            ),
            tooltip=[
                alt.Tooltip("waiter:N", title=say(language, "charts.waiter")),
                alt.Tooltip("culprit:N", title=say(language, "charts.culprit")),
                alt.Tooltip("ms:Q", title=say(language, "charts.ms"), format=",.2f"),
                alt.Tooltip("step:Q", title=say(language, "charts.worst_step"), format=",d"),
            ],
        )
        .add_params(alt.selection_point(name=CELL, fields=["waiter", "culprit", "step"]))
    )
    strong = "#0b0e13" if theme is DARK else "#ffffff"
    figures = base.mark_text(fontSize=_FONT).encode(
        text=alt.Text("ms:Q", format=",.0f"),
        color=alt.condition(f"datum.ms > {0.45 * most}", alt.value(strong), alt.value(theme.ink)),
    )
    held = sum(cell.ns for cell in matrix.cells)
    told = say(language, "charts.matrix_key")
    if held < matrix.ns:
        told += " " + say(language, "charts.matrix_part", share=f"{100 * held / matrix.ns:.0f}")
    title = alt.Title(
        say(language, "charts.matrix"), subtitle=told,
        anchor="start",
    )  # fmt: skip
    chart = alt.layer(cells, figures, datasets={"matrix": rows}).properties(
        width=alt.Step(_SIDE + 12), height=alt.Step(_SIDE), title=title, name="matrix"
    )
    return finished(chart, theme)


def _who(row: Row, language: str) -> str:
    culprit = row["culprit"]
    return say(language, f"charts.{culprit}") if culprit in NOBODY_ELSE else culprit


def _name(row: Row, end: float) -> str:
    """The culprit's id, over a part that has room for it."""
    others = row["culprit"] not in NOBODY_ELSE
    return row["culprit"] if others and end and row["ms"] >= _NAMED * end else ""


def _told(key: str, lives: Lives, count: int, language: str) -> list[str]:
    if count == len(lives.requests):
        return [key]
    return [key, say(language, "charts.lives_part", shown=count, n=len(lives.requests))]


def _ns(kinds: dict[str, int]) -> int:
    return sum(kinds.values())
