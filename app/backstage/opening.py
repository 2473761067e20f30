"""A recording of the visitor's is read and checked: a large one takes seconds, and the page says
how far that is."""

from __future__ import annotations

import streamlit as st

from backstage.session import Session
from backstage.speech import say
from backstage.words import inert


def draw(session: Session) -> None:
    """Open the file that was asked for, then draw the page anew."""
    name = inert(session.opening.name)

    def words(share: float) -> str:
        return say("recordings.opening", name=name, share=f"{share:.0%}")

    with st.container(key="opening"):
        bar = st.progress(0.0, words(0))
        session.open_asked(lambda share: bar.progress(share, words(share)))
    st.rerun()
