"""Drawing a workload: a time line to drag on, a table for exactness, and what it will take."""

from __future__ import annotations

from functools import partial

import streamlit as st

from backstage import bar, drawn, shell
from backstage.drawn import Drawn
from backstage.estimate import estimate
from backstage.front import part
from backstage.session import Session
from backstage.speech import explain, language, say
from backstage.viewport import viewport_height
from backstage.words import inert
from minillm.config import ConfigError
from minillm.live import FULL_SPEED
from minillm.messages import catalogue
from minillm.workload.saved import (
    LATEST,
    MOST_NAME,
    MOST_PRIORITY,
    MOST_REQUESTS,
    MOST_TITLE,
    MOST_TOKENS,
    SavedError,
    to_link,
)

BELOW = 150  # CSS px for what is below the time line
MOST_REFUSED = 3  # told at once
_TEXTS = ("hint", "tokens", "lengths", "chosen", "request", "priority")
_LENGTH = {
    "min_value": 1,
    "max_value": MOST_TOKENS,
    "step": 1,
    "required": True,
    "default": 64,
    "width": 74,
}


def draw(session: Session) -> None:
    above = bar.height(session) + (not session.look.hides("nav")) * shell.HEIGHT
    with st.container(key="page"):
        st.fragment(_editor)(session, max(300, viewport_height() - above - BELOW))


def _editor(session: Session, height: int) -> None:
    state, texts = Drawn.current(session), catalogue(language())
    left, right = st.columns([1.85, 1], gap="medium")
    with right:
        _table(session, state, height)
    with left:
        part(drawn.COMPONENT)(
            key=drawn.COMPONENT,
            height=height,
            data={
                "rows": state.rows,
                "heard": state.heard,
                "height": height,
                "limits": {"requests": MOST_REQUESTS, "latest": LATEST, "tokens": MOST_TOKENS},
                "text": {name: texts[f"editor.{name}"] for name in _TEXTS},
            },
            on_rows_change=lambda: drawn.changed(session),
        )
    _buttons(session)
    _judgement(session, state)
    session.write_link()


def _table(session: Session, state: Drawn, height: int) -> None:
    import pandas as pd

    number = st.column_config.NumberColumn
    edited = st.data_editor(
        pd.DataFrame(state.base, columns=list(drawn.COLUMNS)),
        key=f"drawn-{state.edition}",
        num_rows="dynamic",
        height=height,
        hide_index=True,
        column_config={
            "arrival": number(
                say("editor.arrival"),
                min_value=0.0,
                max_value=LATEST,
                format="%.3f",
                required=True,
                default=0.0,
                width=84,
            ),
            "prompt_len": number(say("editor.prompt_len"), **_LENGTH),
            "output_len": number(say("editor.output_len"), **_LENGTH),
            "client": st.column_config.TextColumn(
                say("editor.client"), max_chars=MOST_NAME, width=74
            ),
            "priority": number(
                say("editor.priority_column"),
                min_value=-MOST_PRIORITY,
                max_value=MOST_PRIORITY,
                step=1,
                default=0,
                width=74,
            ),
        },
    )
    rows = [drawn.typed(row) for row in edited.to_dict("records")]
    if rows != state.table:
        state.table = rows
        state.put(session, rows, by_table=True)


def _buttons(session: Session) -> None:
    with st.container(key="editor-row", horizontal=True, vertical_alignment="center"):
        st.button(say("editor.add"), key="add", on_click=drawn.add, args=(session,))
        st.button(
            say("editor.from_scene"),
            key="from-scene",
            on_click=drawn.from_scene,
            args=(session,),
        )
        st.button(say("editor.discard"), key="discard", on_click=drawn.without, args=(session,))
        st.space("stretch")
        st.text_input(
            say("editor.title"),
            key=session.key("title"),
            max_chars=MOST_TITLE,
            placeholder=say("editor.title"),
            label_visibility="collapsed",
            width=230,
        )
        st.download_button(
            say("editor.save"),
            partial(drawn.as_file, session.choice),
            "scene.json",
            "application/json",
            on_click="ignore",
        )
        with st.popover(say("editor.open")):
            st.file_uploader(
                say("editor.open_file"),
                key="opened_scene",
                type="json",
                on_change=drawn.open_file,
                args=(session,),
            )
        with st.popover(say("editor.link")):
            _link(session)


def _link(session: Session) -> None:
    try:
        to_link(session.choice.requests or ())
    except SavedError as error:
        st.caption(inert(explain(error)))
    else:
        st.markdown(say("editor.link_is"))


def _judgement(session: Session, state: Drawn) -> None:
    """What is wrong, or what the run will take and who will not fit."""
    choice = session.choice
    with st.container(key="judgement"):
        if state.problem is not None:
            st.error(inert(state.problem))
            return
        try:
            found = estimate(choice)
        except ConfigError as error:
            st.error(inert(explain(error)))
            return
        pace = "full_speed" if choice.pace == FULL_SPEED else "paced"
        words = say(
            f"editor.takes_{pace}",
            n=len(choice.requests or ()) - len(found.refused),
            steps=found.steps,
            seconds=f"{found.seconds:.0f}" if found.seconds >= 1.5 else f"{found.seconds:.1f}",
            pace=f"{choice.pace:g}",
        )
        st.markdown(words)
        for message in found.refused[:MOST_REFUSED]:
            st.warning(inert(say("editor.refused", message=message)))
        if len(found.refused) > MOST_REFUSED:
            st.caption(say("editor.more_refused", n=len(found.refused) - MOST_REFUSED))
