"""The Roofline page's parts: choices, what they come to, the chart, the memory."""

from __future__ import annotations

import streamlit as st

from backstage import roof_run, view
from backstage.budget import Budget, budget, rows
from backstage.front import part
from backstage.own import SHAPES
from backstage.session import Session
from backstage.speech import explain, language, say
from backstage.words import inert, milliseconds
from minillm.config import ConfigError
from minillm.costs import HARDWARE, RooflineCostModel, cost_model
from minillm.costs.hardware import GIB

PANEL = (515, 290)  # px


def draw(session: Session) -> None:
    if not session.look.hides("bar"):
        _choices(session)
    own = session.own
    batch, length = own["batch"] or 1, own["length"] or 1
    with st.container(key="page"):
        try:
            costs = cost_model(own["shape"], own["hardware"], own["devices"] or 1)
        except ConfigError as error:
            st.error(inert(explain(error)))
            return
        found = budget(costs, batch, length)
        with st.container(key="headline"):
            st.markdown(headline(costs, found, batch))
        part("bar")(key="budget", data=memory_bar(costs, found, batch, length))
        _chart(costs, batch, length)
        decode = costs.step_seconds([(1, length)] * batch)
        prefill = costs.step_seconds([(length, 0)])
        times = {"decode": milliseconds(decode * 1e3), "prefill": milliseconds(prefill * 1e3)}
        ridge = round(costs.hardware.ridge)
        st.caption(
            say(
                "app.sentences",
                first=say("roofline.subtitle", ridge=ridge),
                second=say("roofline.step", **times),
            )
        )
        roof_run.draw(session, costs)
    if session.shown.trace.steps:
        view.draw_moment(session, roof_run.STAGE_HEIGHT)


def _choices(session: Session) -> None:
    with st.container(key="bar", horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(say("roofline.model"), SHAPES, key=session.key("shape"), width=200)
        st.selectbox(
            say("roofline.hardware"), list(HARDWARE), key=session.key("hardware"), width=180
        )
        for name in ("devices", "batch", "length"):
            st.number_input(
                say(f"roofline.{name}"), min_value=1, step=1, key=session.key(name), width=170
            )


def headline(costs: RooflineCostModel, found: Budget, batch: int) -> str:
    """Which wall a decode step runs into, and how much fits; Markdown."""
    if not found.most and found.weights > found.usable:
        return say(
            "roofline.no_room",
            weights=_gib(found.weights),
            memory=_gib(found.memory),
            devices=costs.tensor_parallel,
            hardware=costs.hardware.name,
        )
    wall = "computes" if batch >= found.saturating else "reads"
    names = {"hardware": costs.hardware.name, "batch": batch, "saturating": found.saturating}
    room = say(
        "roofline.room" if found.fits else "roofline.over",
        most=found.most,
        longest=found.longest,
        batch=batch,
    )
    return say("app.sentences", first=say(f"roofline.{wall}", **names), second=room)


def memory_bar(costs: RooflineCostModel, found: Budget, batch: int, length: int) -> dict:
    """The memory as a bar: weights, KV cache, what is free or missing, what is spared."""
    left = found.usable - found.weights - found.cache
    spare = found.memory - found.usable
    parts = [
        ["weights", found.weights, say("roofline.weights", gib=_gib(found.weights))],
        [
            "cache",
            found.cache,
            say("roofline.cache", gib=_gib(found.cache), batch=batch, length=length),
        ],
    ]
    if left >= 0:
        parts.append(["free", left, say("roofline.free", gib=_gib(left))])
        parts.append(["spare", spare, say("roofline.spare", gib=_gib(spare))])
    else:
        parts.append(["missing", 0, say("roofline.missing", gib=_gib(-left))])
    title = say(
        "roofline.memory",
        devices=costs.tensor_parallel,
        hardware=costs.hardware.name,
        memory=_gib(found.memory),
    )
    return {"title": title, "parts": parts, "limit": found.memory}


def _chart(costs: RooflineCostModel, batch: int, length: int) -> None:
    from backstage.pictures import draw, theme
    from minillm.charts.roofline import roofline_chart

    chart = roofline_chart(
        "",
        rows(costs, batch, length),
        costs.hardware.flops,
        costs.hardware.bandwidth,
        language=language(),
        theme=theme(),
        size=PANEL,
    )
    draw(chart, "roofline", width="content")


def _gib(size: float) -> str:
    return f"{size / GIB:,.1f}"
