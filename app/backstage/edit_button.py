"""The button of the navigation that opens the editor of the requests, and closes it."""

from __future__ import annotations

import streamlit as st

from backstage import drawn
from backstage.session import Session
from backstage.speech import say


def draw(session: Session) -> None:
    if session.look.hides("requests"):
        return
    if drawn.is_open():
        st.button(say("editor.back"), key="edit", type="tertiary", on_click=drawn.closed)
    else:
        opens = (session,)
        st.button(
            say("editor.edit"), key="edit", type="tertiary", on_click=drawn.opened, args=opens
        )
