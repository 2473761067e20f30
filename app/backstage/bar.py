"""The row above the stage: scene, scheduler, memory, run; then what the scene asks."""

from __future__ import annotations

import streamlit as st

from backstage import panels, queue, running
from backstage.session import Session
from backstage.speech import language, say, speaker
from backstage.words import inert, question
from minillm.kv_cache.memories import MEMORIES
from minillm.scheduling.systems import SYSTEMS
from minillm.workload.scenes import SCENES

ROW, QUESTION, NOTE = 50, 28, 61  # CSS px; a note is of one line, mostly


def draw(session: Session) -> None:
    if not session.look.hides("bar"):
        _row(session)
    if session.wants_run:
        words = say("live.loading", model=inert(session.choice.model))
        with st.container(key="question"), st.spinner(words):
            running.run_live(session)
        st.rerun()
    if not session.look.hides("question"):
        _question(session)
    with st.container(key="notes"):
        if session.waits:
            queue.draw(session)
        for note in session.notes():
            st.error(inert(note))


def height(session: Session) -> int:
    """CSS px that the bar takes."""
    hides = session.look.hides
    notes = NOTE * len(session.notes())
    return (not hides("bar")) * ROW + (not hides("question")) * QUESTION + notes


def scene_box(session: Session) -> None:
    """The choice of a scene."""
    told = speaker()
    st.selectbox(
        say("live.scene"),
        list(SCENES),
        key=session.key("scene"),
        format_func=lambda name: told(f"scenes.{name}.title"),
        on_change=session.scene_changed,
        label_visibility="collapsed",
        width=256,
    )


def _row(session: Session) -> None:
    hides = session.look.hides
    with st.container(key="bar", horizontal=True, vertical_alignment="center", gap="xsmall"):
        scene_box(session)
        st.selectbox(
            say("live.scheduler"),
            list(SYSTEMS),
            key=session.key("scheduler"),
            on_change=session.way_changed,
            label_visibility="collapsed",
            width=150,
        )
        st.selectbox(
            say("live.memory"),
            list(MEMORIES),
            key=session.key("memory"),
            on_change=session.way_changed,
            label_visibility="collapsed",
            width=180,
        )
        _run_buttons(session)
        st.space("stretch")
        if not hides("settings"):
            with st.popover(say("live.settings"), key="settings"):
                panels.settings(session)
        if not hides("prompt"):
            without = session.shown.run is None
            with st.popover(say("live.prompt"), key="prompt", disabled=without):
                panels.prompt(session)
        if not hides("recording"):
            with st.popover(say("live.recording"), key="recording"):
                panels.recording(session)


def _run_buttons(session: Session) -> None:
    live = session.shown.run is not None
    st.button(
        say("live.run_again" if live else "live.run"),
        key="run",
        type="secondary" if live else "primary",
        on_click=session.ask_to_run,
    )
    if live:
        st.button(say("live.reset"), key="reset", on_click=session.reset)
    now = (session.choice.scheduler, session.choice.memory)
    first, other = session.choice.the_scene.ways
    if live and now != other:
        what = other[0] if other[0] != first[0] else other[1]
        st.button(
            say("live.try", what=what),
            key="try_next",
            help=say("live.try_help"),
            type="primary",
            on_click=session.ask_to_run,
            args=other,
        )


def _question(session: Session) -> None:
    """What the scene asks; beside it what to look for, and what the scheduler does."""
    scene, name = session.choice.the_scene, session.choice.scheduler
    memory = session.choice.memory
    with st.container(
        key="question", horizontal=True, wrap=False, vertical_alignment="center", gap="medium"
    ):
        asked = question(language(), session.shown.trace.header, session.choice)
        st.markdown(asked, width="stretch")
        with st.popover(say("live.look_for"), type="tertiary"):
            st.markdown(say(f"scenes.{scene.name}.look_for"))
        with st.popover(say("live.how"), type="tertiary", key="about"):
            st.markdown(f"**{name}** · {say(f'systems.{name}.source')}")
            st.markdown(say(f"systems.{name}.about"))
            source = say(f"memories.{memory}.source")
            st.markdown(say("live.how_memory", memory=memory, source=source))
            st.markdown(say(f"memories.{memory}.about"))
