"""Recordings put on the stage: a file of the visitor's, a bundled one, what is made of the run in
hand. A large file takes seconds to read and check, and the page says how far that is."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from backstage.session import Session
from backstage.shared import desk
from backstage.shown import Shown, from_bundle, from_file
from backstage.speech import say
from backstage.words import inert
from minillm.trace.fold import TraceError
from minillm.trace.trace import Trace


def draw(session: Session) -> None:
    """Open the file that was asked for, then draw the page anew."""
    name = inert(session.opening.name)

    def words(share: float) -> str:
        return say("recordings.opening", name=name, share=f"{share:.0%}")

    with st.container(key="opening"):
        bar = st.progress(0.0, words(0))
        open_asked(session, lambda share: bar.progress(share, words(share)))
    st.rerun()


def open_file(session: Session) -> None:
    """Open the visitor's file in this run of the script, which can say how far that is."""
    session.opening = st.session_state.opened


def open_asked(session: Session, progress: Callable[[float], object]) -> None:
    """Show the file that was asked for, or say why it cannot be; `progress` hears how far."""
    upload = session.opening
    session.problems = []
    with session.fulfilling("opening"):
        try:
            shown = from_file(upload, upload.name, progress)
        except TraceError as error:
            session.problems = [str(error)]
            return
    desk().reset()
    session.show(shown)


def open_bundled(session: Session) -> None:
    """Open one of the recordings that come with minillm."""
    name = st.session_state.bundled
    if name is not None:
        session.problems = []
        desk().reset()
        session.show(from_bundle(name))


def put_recording(session: Session, make: Callable[[], Trace], keep: int | None = None) -> None:
    """Show what is made of the run in hand, at step `keep` if given; or say why it cannot
    be."""
    try:
        trace = make()
    except TraceError as error:
        session.problems = [str(error)]
        return
    session.problems = []
    desk().reset()
    session.show(Shown(trace, session.shown.source))
    session.look_at(keep, None)
