"""What scheduler and batch preparation cost as the batch grows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from minillm.charts.look import BLUE, GREEN, INK, finished

_PARTS = {"scheduler": "scheduling_us", "batch preparation": "preparation_us"}


def overhead_chart(result: Mapping[str, Any]) -> alt.TopLevelMixin:
    """Microseconds per step, stacked, per number of running sequences; a tick at a tenth of the
    modelled GPU's decode step. `result` is that of `minillm bench overhead`."""
    steps = result["steps"]
    values = [
        {"running": step["running"], "part": part, "us": step[key]}
        for step in steps
        for part, key in _PARTS.items()
    ]
    limits = [{"running": int(n), "us": us / 10} for n, us in result["decode_step_us"].items()]
    x = alt.X("running:O", title="sequences running", axis=alt.Axis(labelAngle=0))
    colours = alt.Scale(domain=list(_PARTS), range=[BLUE, GREEN])
    bars = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(size=60)
        .encode(
            x=x,
            y=alt.Y(
                "us:Q", title="µs per step", axis=alt.Axis(format=",.0f", tickCount=6, minExtent=64)
            ),
            color=alt.Color("part:N", scale=colours, legend=alt.Legend(title=None, orient="top")),
        )
    )
    ticks = (
        alt.Chart(alt.Data(values=limits))
        .mark_tick(color=INK, opacity=1, thickness=3, size=90)
        .encode(x=x, y="us:Q")
    )
    told = ["Tick: a tenth of a decode step of", "qwen3-0.6b on h200-sxm, at its roofline"]
    title = alt.Title("Scheduler and batch preparation", subtitle=told, offset=16)
    return finished(alt.layer(bars, ticks).properties(width=480, height=340, title=title))
