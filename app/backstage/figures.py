"""Below the stage: the figures of the run, and the charts."""

from __future__ import annotations

import sys

import streamlit as st

from backstage import terms
from backstage.front import nothing, part
from backstage.session import Session
from backstage.shared import CHARTS, warm_up
from backstage.speech import language, say
from backstage.words import summary

SOON = 2000  # ms between two looks whether the charts can be drawn at all
OFTEN = 5000  # and between two drawings: they cost over 0.1 s of CPU time, which the engine needs
KEY = "below"
_WORDS = ("ttft", "itl", "percentile", "kv_cache_usage", "preemption")


def draw(session: Session) -> None:
    if session.look.hides("figures"):
        return
    with st.container(key=KEY):
        st.fragment(_below)(session)


def _below(session: Session) -> None:
    """The charts of a growing run stand still while nobody sees them: mostly, below the stage."""
    waits = not _ready()
    every = SOON if waits else OFTEN if session.shown.grows else None
    _charts(session)
    data = {"part": KEY, "every": every, "unseen": waits}
    part("in_view")(key="in_view", data=data, on_look_change=nothing)


def _charts(session: Session) -> None:
    if not _ready():
        # The first look comes from a browser that has drawn the page: only now load the rest.
        if st.session_state.get("mounted"):
            warm_up()
        st.session_state.mounted = True
        st.caption(say("live.charts_soon"))
        return
    trace = session.shown.trace
    if any(request.itl for request in trace.requests):
        from backstage.pictures import draw as draw_chart
        from backstage.pictures import theme
        from minillm.charts.charts import latency, load_over_time
        from minillm.charts.look import finished

        look = theme()
        st.markdown(summary(language(), trace))
        load, times = st.columns(2, gap="large")
        with load:
            draw_chart(finished(load_over_time(trace, language()), look), "load_over_time")
        with times:
            draw_chart(finished(latency(trace, language()), look), "latency")
        st.caption(terms.line(*_WORDS))
    else:
        st.caption(say("live.charts_wait"))


def _ready() -> bool:
    return CHARTS in sys.modules
