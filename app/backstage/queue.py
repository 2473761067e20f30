"""In line for an engine: the visitor's place, until the run starts by itself."""

from __future__ import annotations

import streamlit as st

from backstage.session import Session
from backstage.shared import desk, engine_room
from backstage.speech import say

TICK = 1.0  # seconds


def draw(session: Session) -> None:
    with st.container(key="queue", horizontal=True, vertical_alignment="center"):
        st.fragment(run_every=TICK)(_place)(session)
        st.button(say("lesson.leave_line"), key="leave-line", on_click=_leave, args=(session,))


def _place(session: Session) -> None:
    if not session.waits:
        return
    place = desk().wait()
    if place == 0:
        session.ask_to_run()
        st.rerun()
    st.markdown(say("lesson.in_line", limit=engine_room().limit, place=str(place)))


def _leave(session: Session) -> None:
    session.waits = False
    desk().wait_no_more()
