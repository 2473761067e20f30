"""Where the KV memory went, over time: a chart that stands alone."""

from __future__ import annotations

import altair as alt

from minillm.charts.look import GREEN, PRINT, VERMILION, Theme, finished
from minillm.charts.series import memory_over_time, rows
from minillm.messages import DEFAULT, say
from minillm.trace import Trace
from minillm.trace.memory import KINDS

_WIDTH, _HEIGHT = 760, 300
_SEEN = 0.05  # %: a kind with less is left out
# Green is used; its tint will be. Warm colours are waste. Grey and paper are to be had.
_COLOURS = {
    "token": GREEN,
    "reserved": "#9fdcc6",
    "internal": "#f0b429",
    "external": VERMILION,
    "cached": "#b9b9aa",
}


def memory_chart(
    trace: Trace,
    language: str = DEFAULT,
    theme: Theme = PRINT,
    *,
    step: int | None = None,
    seconds: float | None = None,
) -> alt.TopLevelMixin:
    """The whole pool as a stack over engine seconds, what is in use at the bottom. The legend
    gives the means. A line marks the end of `step`. `seconds`: the axis ends there, so that the
    charts of several runs compare; by default where the run does.

    Another `step` changes the data alone, not the spec (see `minillm.charts.charts`)."""
    memory = trace.memory()
    means = memory.shares()
    kinds = [kind for kind in KINDS if means[kind] >= _SEEN]
    names = {kind: say(language, f"charts.memory_{kind}", share=f"{means[kind]:.1f}")
             for kind in kinds}  # fmt: skip
    data = [
        row | {"kind": names[row["kind"]], "order": KINDS.index(row["kind"])}
        for row in rows(memory_over_time(trace))
        if row["kind"] in names
    ]
    cursor = [] if step is None or not memory.end else [{"seconds": memory.end[step] / 1e9}]
    last = seconds if seconds is not None else memory.end[-1] / 1e9 if memory.end else 0.0
    first = 0.0 if trace.base is None else trace.base.time / 1e9
    x = alt.X(
        "seconds:Q",
        title=say(language, "charts.seconds"),
        scale=alt.Scale(domain=[first, max(last, first + 1e-9)], nice=False),
    )
    stack = kinds[::-1]  # the legend in the order of the stack
    colours = alt.Scale(
        domain=[names[kind] for kind in stack],
        range=[_COLOURS.get(kind, theme.paper) for kind in stack],
    )
    area = (
        alt.Chart(alt.NamedData("memory"))
        .mark_area(interpolate="step-after", clip=True)
        .encode(
            x=x,
            y=alt.Y(
                "share:Q",
                title=say(language, "charts.memory_slots"),
                scale=alt.Scale(domain=[0, 100]),
            ),
            color=alt.Color(
                "kind:N",
                scale=colours,
                legend=alt.Legend(title=None, symbolStrokeColor=theme.quiet, symbolStrokeWidth=1),
            ),
            order="order:Q",
            tooltip=[
                alt.Tooltip("kind:N", title=say(language, "charts.memory_kind")),
                alt.Tooltip("share:Q", title="%", format=".1f"),
                alt.Tooltip("seconds:Q", title=say(language, "charts.seconds"), format=".3f"),
            ],
        )
    )
    now = alt.Chart(alt.NamedData("cursor")).mark_rule(color=theme.ink, strokeWidth=2).encode(x=x)
    chart = alt.layer(area, now, datasets={"memory": data, "cursor": cursor}).properties(
        width=_WIDTH, height=_HEIGHT, title=_title(trace, language), name="memory"
    )
    return finished(chart, theme)


def _title(trace: Trace, language: str) -> alt.Title:
    header = trace.header
    kept = f"{header.kv_cache} ({header.reserve})" if header.reserve else header.kv_cache
    parts = [say(language, "charts.memory", kept=kept), header.scheduler, header.model]
    size = say(language, "charts.memory_size", blocks=header.num_blocks, size=header.block_size)
    return alt.Title(" · ".join(filter(None, parts)), subtitle=size)
