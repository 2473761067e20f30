"""The page of one who follows the teacher: the same stage, moved by the teacher alone."""

from __future__ import annotations

import uuid

import streamlit as st

from backstage.lesson import Lesson
from backstage.shared import lessons
from backstage.speech import language, say, speak
from backstage.viewport import viewport_height
from minillm.messages import LANGUAGES
from minillm.stage.streamlit_host import stage

PARAMETER = "follow"
TICK = 0.5  # seconds
HEADER = 41  # CSS px


def draw(token: str) -> None:
    asked = st.query_params.get("lang")
    if asked is not None and asked in LANGUAGES:
        speak(asked)
    lesson = lessons().find(token)
    if lesson is None:
        _over()
        return
    with st.container(key="nav", horizontal=True, vertical_alignment="center", gap="small"):
        st.html('<span class="wordmark">minillm</span>', width="content")
        st.text(say("lesson.following"))
    height = viewport_height() - HEADER
    with st.container(key="view"):
        st.fragment(run_every=TICK)(_tick)(lesson, height)


def _tick(lesson: Lesson, height: int) -> None:
    if lesson.over:
        st.rerun()
    follower = st.session_state.setdefault("follower", uuid.uuid4().hex)
    lesson.seen_by(follower)
    shown, (step, select) = lesson.shown, lesson.moment
    stage(
        shown.header,
        shown.records,
        key="followed",
        session=shown.session,
        height=height,
        language=language(),
        step=step,
        select=select,
        follow=True,
    )


def _over() -> None:
    with st.container(key="page"):
        with st.container(key="headline"):
            st.markdown(say("lesson.over"))
        st.link_button(say("lesson.go_on"), "/")
