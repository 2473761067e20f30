"""The stage on the page: it is fed while the engine runs, and its wishes are handed on."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backstage import bar, runbar, shell
from backstage.front import nothing
from backstage.session import Session
from backstage.shared import feeds, lectern
from backstage.speech import language
from backstage.viewport import viewport_height
from minillm.live import FULL_SPEED
from minillm.stage.streamlit_feed import feed
from minillm.stage.streamlit_host import stage

STAGE, FEED, MOMENT = "stage", "feed", "moment"  # the keys
MOMENT_HEIGHT = 560  # CSS px of a stage below other matter
HAIRLINE = 2  # CSS px
FIRST_FRAME = 3500  # ms for which a recording rests on the step that makes its point


def draw(session: Session) -> None:
    above = bar.height(session) + (not session.look.hides("nav")) * shell.HEIGHT
    height = viewport_height() - above - HAIRLINE - _line_height(session)
    grew = session.shown.grows
    with st.container(key="view"):
        st.fragment(_stage)(session, grew, height)
        if session.shown.run is not None:
            with st.container(key="runbar" if _line_height(session) else "runbar-away"):
                st.fragment(_feed)(session, grew)


def _line_height(session: Session) -> int:
    """CSS px that the line below a live run takes."""
    there = session.shown.run is not None and not session.look.hides("status")
    return runbar.HEIGHT if there else 0


def draw_moment(session: Session, height: int = MOMENT_HEIGHT) -> None:
    """The stage below a page's own matter: it stands at a moment of what has been recorded.
    `height` in CSS px."""
    session.shown.catch_up()
    with st.container(key="view"):
        _moment(session, height)
    session.write_link()


def _moment(session: Session, height: int) -> None:
    shown, look = session.shown, session.look
    stage(
        shown.header,
        shown.records,
        key=MOMENT,
        session=shown.session,
        height=height,
        language=language(),
        step=look.step,
        select=look.select,
        order=session.order,
        on_state=lambda: remember(session, MOMENT),
        tell_every=lectern().tell_every,
        start=shown.start,
        **_bare(session),
    )


def _stage(session: Session, grew: bool, height: int) -> None:
    shown = session.shown
    replay = shown.run is None
    stage(
        shown.header,
        shown.records if replay else (),
        key=STAGE,
        session=shown.session,
        mode="replay" if replay else "live",
        height=height,
        language=language(),
        step=session.look.step if replay else None,
        select=session.look.select,
        order=session.order,
        on_control=lambda: obey(session),
        on_state=(lambda: remember(session, STAGE)) if replay or lectern().lesson else None,
        tell_every=lectern().tell_every,
        **_options(session),
    )
    session.write_link()
    if shown.grows and not grew:
        st.rerun()


def _feed(session: Session, grew: bool) -> None:
    shown = session.shown
    feeds()[shown.token] = shown
    feed(
        key=FEED,
        token=shown.token,
        session=shown.session,
        language=language(),
        more=grew,
        on_rest=nothing,
    )
    if shown.grows != grew:
        st.rerun()


def _options(session: Session) -> dict[str, Any]:
    """How the stage begins. They stay as they are while it shows the same."""
    options = _bare(session)
    if session.look.present:
        options |= {"present": True, "wholePage": True}
    if session.shown.run is None:
        options |= {"autoplay": True, "start": session.shown.start, "hold": FIRST_FRAME}
    return options


def _bare(session: Session) -> dict[str, Any]:
    """The option that takes the stage's controls away."""
    return {"bare": True} if "controls" in session.look.hide else {}


def remember(session: Session, key: str) -> None:
    """Let the class see what the stage shows, and the link say where a recording stands."""
    state = st.session_state[key].get("state")
    if state and state["session"] == session.shown.session:
        lectern().tell(state["step"], state["selection"])
        if session.shown.run is None or key == MOMENT:
            session.saw(state)


def obey(session: Session) -> None:
    """Do with the engine what the stage's controls ask for."""
    control = st.session_state.stage.get("control")
    run = session.shown.run
    if run is None or not control:
        return
    action, value = control.get("action"), control.get("value")
    if action == "play":
        run.play()
    elif action == "pause":
        run.pause()
    elif action == "step":
        run.step()
    elif action == "speed":
        run.set_pace(FULL_SPEED if value is None else float(value))
    session.shown.expect_more()
