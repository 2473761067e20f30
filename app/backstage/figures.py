"""Below the stage: what to look for, and the charts."""

from __future__ import annotations

import sys

import streamlit as st

from backstage.session import Session
from backstage.shared import CHARTS, warm_up
from minillm.scheduling.systems import SYSTEMS

TICK = 0.5  # seconds


def draw(session: Session) -> None:
    with st.container(key="below"):
        notes, charts = st.columns([1, 2], gap="large")
        with notes:
            _notes(session)
        with charts:
            waiting = session.shown.grows or not _ready()
            st.fragment(run_every=TICK if waiting else None)(_charts)(session, waiting)


def _notes(session: Session) -> None:
    scene, system = session.choice.the_scene, SYSTEMS[session.choice.scheduler]
    st.markdown(f"**What to look for.** {scene.look_for}")
    st.markdown(f"**{session.choice.scheduler}** ({system.source}). {system.about}")


def _charts(session: Session, waiting: bool) -> None:
    if not _ready():
        # The first tick comes from a browser that has drawn the page: only now load the rest.
        if st.session_state.get("mounted"):
            warm_up()
        st.session_state.mounted = True
        st.caption("The charts come in a moment.")
        return
    from minillm.charts.charts import latency, load_over_time

    trace = session.shown.trace
    load, times = st.columns(2)
    load.altair_chart(load_over_time(trace), key="load_over_time")
    times.altair_chart(latency(trace), key="latency")
    if waiting != (session.shown.grows or not _ready()):
        st.rerun()


def _ready() -> bool:
    return CHARTS in sys.modules
