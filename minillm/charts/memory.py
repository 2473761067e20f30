"""Where the KV memory went, over time: a chart that stands alone."""

from __future__ import annotations

import altair as alt

from minillm.charts.look import GREEN, QUIET, VERMILION, finished
from minillm.charts.series import memory_over_time, rows
from minillm.trace import Trace
from minillm.trace.memory import KINDS

_WIDTH, _HEIGHT = 760, 300
_SEEN = 0.05  # %: a kind with less is left out
# Green is used; its tint will be. Warm colours are waste. Grey and white are to be had.
_LOOK = {
    "token": (GREEN, "in use"),
    "reserved": ("#9fdcc6", "will be written"),
    "internal": ("#f0b429", "held, never written"),
    "external": (VERMILION, "held by nobody, of no use"),
    "cached": ("#d6d6c8", "can be found again"),
    "free": ("#ffffff", "nobody waits for it"),
}


def memory_chart(trace: Trace) -> alt.TopLevelMixin:
    """The whole pool as a stack over engine seconds, what is in use at the bottom. The legend
    gives the means."""
    means = trace.memory().shares()
    kinds = [kind for kind in KINDS if means[kind] >= _SEEN]
    names = {kind: f"{kind} {means[kind]:.1f} %: {_LOOK[kind][1]}" for kind in kinds}
    data = [
        row | {"kind": names[row["kind"]], "order": KINDS.index(row["kind"])}
        for row in rows(memory_over_time(trace))
        if row["kind"] in names
    ]
    colours = alt.Scale(
        domain=[names[kind] for kind in reversed(kinds)],  # the legend in the order of the stack
        range=[_LOOK[kind][0] for kind in reversed(kinds)],
    )
    chart = (
        alt.Chart(alt.InlineData(data))
        .mark_area(interpolate="step-after")
        .encode(
            x=alt.X("seconds:Q", title="engine seconds", scale=alt.Scale(nice=False)),
            y=alt.Y("share:Q", title="KV slots, %", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color(
                "kind:N", scale=colours, legend=alt.Legend(title=None, symbolStrokeColor=QUIET)
            ),
            order="order:Q",
            tooltip=["kind:N", alt.Tooltip("share:Q", format=".1f"), "seconds:Q"],
        )
        .properties(width=_WIDTH, height=_HEIGHT, title=_title(trace))
    )
    return finished(chart)


def _title(trace: Trace) -> alt.Title:
    header = trace.header
    kept = f"{header.kv_cache} ({header.reserve})" if header.reserve else header.kv_cache
    parts = [f"KV memory, {kept}", header.scheduler, header.model]
    size = f"{header.num_blocks:,} blocks of {header.block_size} tokens"
    return alt.Title(" · ".join(filter(None, parts)), subtitle=size)
