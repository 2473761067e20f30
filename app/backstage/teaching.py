"""The teacher's side of a class: begin, hand out the link, end."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

from backstage.following import PARAMETER
from backstage.session import Session
from backstage.shared import lectern
from backstage.speech import language, say

TICK = 2.0  # seconds between two counts of who follows
LOCAL = ("localhost", "127.0.0.1", "[::1]")


def draw(session: Session) -> None:
    teaches = lectern().lesson is not None
    label = say("lesson.follows" if teaches else "lesson.class")
    with st.popover(label, key="class", type="tertiary"):
        if teaches:
            st.fragment(run_every=TICK)(_now)()
            st.button(say("lesson.end"), key="end-class", on_click=lectern().close)
        else:
            st.markdown(say("lesson.about"))
            begin = (session,)
            st.button(say("lesson.begin"), key="begin-class", on_click=_begin, args=begin)


def _begin(session: Session) -> None:
    look = session.look
    step = session.shown.start if look.step is None else look.step
    lectern().begin(session.shown, step, look.select)


def _now() -> None:
    lesson = lectern().lesson
    if lesson is None:
        return
    st.markdown(say("lesson.hand_out"))
    st.code(address(st.context.url or "", lesson.token, language()), language=None, wrap_lines=True)
    if urlsplit(st.context.url or "").hostname in LOCAL:
        st.caption(say("lesson.local"))
    st.markdown(say("lesson.count", n=lesson.num_followers))


def address(here: str, token: str, language: str) -> str:
    """The link that followers open, on the page's own server."""
    parts = urlsplit(here)
    query = urlencode({PARAMETER: token, "lang": language})
    return urlunsplit((parts.scheme, parts.netloc, "/", query, ""))
