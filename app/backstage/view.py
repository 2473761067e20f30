"""The stage on the page: it ticks while the engine runs, and hands the stage's wishes on."""

from __future__ import annotations

from typing import Any

import streamlit as st

from backstage import bar, shell
from backstage.session import Session
from backstage.speech import language
from backstage.viewport import viewport_height
from minillm.live import FULL_SPEED
from minillm.stage.streamlit_host import stage

TICK = 0.2  # seconds; faster ticks lose updates
MOMENT = 560  # CSS px of a stage below other matter
HAIRLINE = 2  # CSS px
FIRST_FRAME = 3500  # ms for which a recording rests on the step that makes its point


def draw(session: Session) -> None:
    above = bar.height(session) + (not session.look.hides("nav")) * shell.HEIGHT
    height = viewport_height() - above - HAIRLINE
    ticking = session.shown.grows
    tick = st.fragment(run_every=TICK if ticking else None)(_tick)
    with st.container(key="view"):
        tick(session, ticking, height)


def draw_moment(session: Session) -> None:
    """The stage below a page's own matter: it stands at a moment of what has been recorded."""
    shown, look = session.shown, session.look
    shown.catch_up()
    start = shown.start if look.step is None else look.step
    with st.container(key="view"):
        stage(
            shown.header,
            shown.records,
            key="moment",
            session=shown.session,
            height=MOMENT,
            language=language(),
            start=start,
            **({} if look.select is None else {"select": look.select}),
        )


def _tick(session: Session, ticking: bool, height: int) -> None:
    shown = session.shown
    shown.catch_up()
    replay = shown.run is None
    options = _options(session)
    stage(
        shown.header,
        shown.records,
        key="stage",
        session=shown.session,
        mode="replay" if replay else "live",
        running=shown.engine_runs,
        height=height,
        language=language(),
        on_control=lambda: obey(session),
        **options,
    )
    if shown.grows != ticking:
        st.rerun()


def _options(session: Session) -> dict[str, Any]:
    """Where a recording begins and how: at the link's moment it stands still."""
    look, options = session.look, {}
    if look.present:
        options |= {"present": True, "wholePage": True}
    if look.select is not None:
        options["select"] = look.select
    if session.shown.run is None and look.step is not None:
        return options | {"start": look.step}
    if session.shown.run is None:
        options |= {"autoplay": True, "start": session.shown.start, "hold": FIRST_FRAME}
    return options


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
    session.shown.expect_more(steps=1 if action == "step" else 0)
