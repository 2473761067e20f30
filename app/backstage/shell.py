"""What all pages have in common: the navigation, the language, and one session for all of them."""

from __future__ import annotations

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from backstage import drawn, edit_button, following, opening, teaching, tour, widgets
from backstage.session import Session
from backstage.shared import lectern
from backstage.speech import language, say, speak
from backstage.style import CSS
from minillm.messages import LANGUAGES

PAGES = ("live", "compare", "blocking", "memory", "roofline", "kernel", "recordings", "glossary")
"""The pages in the order of the navigation: a file of app/, a word of the catalogue."""
HEIGHT = 38  # CSS px of the navigation


def run() -> None:
    st.set_page_config(page_title="minillm", page_icon="▦", layout="wide")
    pages = [
        st.Page(f"{name}.py", title=name, default=name == PAGES[0], url_path=name) for name in PAGES
    ]
    status = st.Page("status.py", title="status", visibility="hidden")
    page = st.navigation([*pages, status], position="hidden")
    if page == status:
        page.run()
        return
    st.html(CSS)
    if following.PARAMETER in st.query_params:
        following.draw(st.query_params[following.PARAMETER])
        return
    session = Session.current()
    session.turn_to(page.url_path)
    widgets.speak()
    if not session.look.hides("nav"):
        _navigation(session, pages, page)
    if session.opening is not None:
        opening.draw(session)
    page.run()
    lectern().show(session.shown)
    session.write_link()


def _navigation(session: Session, pages: list[StreamlitPage], here: StreamlitPage) -> None:
    with st.container(key="nav", horizontal=True, vertical_alignment="center", gap="small"):
        st.html('<span class="wordmark">minillm</span>', width="content")
        for name, page in zip(PAGES, pages, strict=True):
            with st.container(key="here" if page == here else f"to-{name}", width="content"):
                st.page_link(page, label=say(f"app.page_{name}"), query_params=session.link())
        st.space("stretch")
        if here == pages[0]:
            edit_button.draw(session)
            if not drawn.is_open():
                tour.draw(session)
        if not session.look.hides("class"):
            teaching.draw(session)
        for code, name in LANGUAGES.items():
            if code != language():
                key = f"speak-{code}"
                st.button(name, key=key, type="tertiary", on_click=_switch, args=(session, code))


def _switch(session: Session, code: str) -> None:
    speak(code)
    session.spoken(code)
