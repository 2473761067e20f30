"""The run in hand as a recording: open, take away, cut, annotate."""

from __future__ import annotations

from functools import partial

import streamlit as st

from backstage import files, opening
from backstage.session import Session
from backstage.speech import language, say
from backstage.words import inert
from minillm.messages import translated
from minillm.recordings import names
from minillm.trace.records import MOST_NOTE_TEXT
from minillm.trace.trace import Trace


def draw(session: Session) -> None:
    with st.container(key="page"):
        with st.container(key="headline"):
            st.markdown(headline(session.shown.trace))
        for problem in session.problems:
            st.error(inert(problem))
        if session.look.hides("recording"):
            return
        open_, take, cut, notes = st.columns(4, gap="medium")
        with open_:
            _open(session)
        with take, st.container(key="take"):
            _take(session.shown.trace)
        with cut:
            _cut(session)
        with notes:
            _notes(session)


def headline(trace: Trace) -> str:
    """What it is, in Markdown."""
    header = trace.header
    title = translated(language(), header.title, f"scenes.{header.scene}.title") or header.scene
    return say(
        "recordings.this",
        name=inert(title or say("recordings.a_run")),
        how=inert(" · ".join(filter(None, (header.scheduler, header.model, header.device)))),
        steps=len(trace.steps),
        requests=len(trace.requests),
        time=f"{trace.duration:.2f} s",
    )


def _open(session: Session) -> None:
    st.selectbox(
        say("recordings.bundled"),
        names(),
        index=None,
        key="bundled",
        placeholder=say("recordings.choose"),
        on_change=opening.open_bundled,
        args=(session,),
    )
    st.file_uploader(
        say("recordings.own"), key="opened", on_change=opening.open_file, args=(session,)
    )


def _take(trace: Trace) -> None:
    st.caption(say("recordings.take"))
    for key, form in files.FORMATS.items():
        _download(trace, key, form)
    tables = list(files.TABLES.items())
    for pair in (tables[:2], tables[2:]):
        with st.container(horizontal=True, wrap=False, gap="xsmall"):
            for key, form in pair:
                _download(trace, key, form)


def _download(trace: Trace, key: str, form: files.Format) -> None:
    ending, mime, make = form
    st.download_button(
        say(f"recordings.as_{key}"),
        partial(make, trace, language()),
        f"{files.name_of(trace)}{ending}",
        mime,
        key=f"take-{key}",
        on_click="ignore",
        width="stretch",
    )


def _cut(session: Session) -> None:
    trace = session.shown.trace
    last = len(trace.steps) - 1
    if last < 1:
        st.caption(say("recordings.too_short"))
        return
    key = f"cut-{session.shown.session}"
    first, end = st.slider(say("recordings.stretch"), 0, last, (0, last), key=key)
    st.button(
        say("recordings.cut"),
        key="cut",
        disabled=(first, end) == (0, last),
        on_click=opening.put_recording,
        args=(session, lambda: trace.trim(first, end)),
    )


def _notes(session: Session) -> None:
    trace = session.shown.trace
    if not trace.steps:
        return
    now = session.look.step
    at = min(now if now is not None else session.shown.start or 0, len(trace.steps) - 1)
    with st.form("note", border=False, clear_on_submit=True):
        st.text_area(
            say("recordings.note", step=at), key="note-text", height=80, max_chars=MOST_NOTE_TEXT
        )
        st.form_submit_button(
            say("recordings.pin"),
            key="pin",
            on_click=lambda: opening.put_recording(
                session, lambda: trace.with_note(at, st.session_state["note-text"]), keep=at
            ),
        )
    for number, note in enumerate(trace.notes):
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xsmall"):
            st.button(
                say("recordings.at", step=note.note),
                key=f"to-note-{number}",
                type="tertiary",
                on_click=session.look_at,
                args=(note.note, None),
            )
            st.markdown(inert(note.text[:60]), width="stretch")
            others = [each for each in trace.notes if each is not note]
            st.button(
                say("recordings.unpin"),
                key=f"unpin-{number}",
                type="tertiary",
                on_click=opening.put_recording,
                args=(session, lambda others=others: trace.with_notes(others)),
            )
