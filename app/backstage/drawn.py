"""The requests while they are edited, and where they go once they are right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from backstage import choice as choices
from backstage.choice import Choice
from backstage.rerun import requests_of
from backstage.session import Session
from backstage.shown import Shown
from backstage.speech import language, say
from minillm.workload.saved import (
    MOST_BYTES,
    SavedError,
    SavedScene,
    checked,
    from_file,
    rows_of,
    to_file,
)
from minillm.workload.spec import RequestSpec

COMPONENT = "editor"
COLUMNS = ("arrival", "prompt_len", "output_len", "client", "priority")
_KEY = "drawn"
Row = dict[str, Any]


@dataclass
class Drawn:
    """`rows` are as they were left, right or wrong; `base` is what the table began with, and
    `edition` its name: it begins anew when the rows change by other means. `heard` is the number of
    the last change on the time line. `table` is what the table said last."""

    rows: list[Row]
    base: list[Row]
    table: list[Row] = field(init=False)
    edition: int = 0
    heard: int = 0
    problem: str | None = None

    def __post_init__(self) -> None:
        self.table = [typed(row) for row in self.base]

    @classmethod
    def current(cls, session: Session) -> Drawn:
        if _KEY not in st.session_state:
            rows = rows_of(session.choice.requests or requests_on(session.shown))
            st.session_state[_KEY] = cls(rows, rows)
        return st.session_state[_KEY]

    def put(self, session: Session, rows: list[Row], *, by_table: bool = False) -> None:
        """The rows are these now; if they are right, they are what runs next."""
        self.rows = rows
        if not by_table:
            self.base, self.table = rows, [typed(row) for row in rows]
            self.edition += 1
        try:
            requests = checked(rows)
        except SavedError as error:
            self.problem = error.told(language())
        else:
            self.problem = None
            take(session, requests)


def is_open() -> bool:
    return bool(st.session_state.get("editing"))


def opened(session: Session) -> None:
    """Open the editor, with what was drawn before or what is on the stage."""
    st.session_state.pop(_KEY, None)
    st.session_state.editing = True
    Drawn.current(session)
    if session.choice.requests is None:
        take(session, checked(Drawn.current(session).rows))


def closed() -> None:
    st.session_state.editing = False


def take(session: Session, requests: tuple[RequestSpec, ...]) -> None:
    """What runs next, and what the link says."""
    st.session_state[session.key("requests")] = requests
    if session.choice.title is None:
        st.session_state[session.key("title")] = say("editor.title_usual")


def requests_on(shown: Shown) -> Sequence[RequestSpec]:
    """The requests on a stage as lengths, without those that were refused."""
    return requests_of(shown.trace) or [RequestSpec(prompt_len=64, output_len=64)]


def typed(row: Mapping[Any, Any]) -> Row:
    """A row of the table with the types of a scene file; what is missing stays None."""
    return {name: _plain(name, row.get(name)) for name in COLUMNS}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        value = None
    if name == "client":
        return "" if value is None else str(value)
    if value is None:
        return 0 if name == "priority" else None
    return round(float(value), 3) if name == "arrival" else int(value)


def changed(session: Session) -> None:
    """The time line tells of a change."""
    drawn, said = Drawn.current(session), st.session_state[COMPONENT].get("rows")
    if not isinstance(said, dict) or said.get("serial", 0) <= drawn.heard:
        return
    drawn.heard = said["serial"]
    rows = said.get("rows")
    drawn.put(session, rows if isinstance(rows, list) else [])


def from_scene(session: Session) -> None:
    """Begin again with the scene's own requests."""
    Drawn.current(session).put(session, rows_of(requests_on(session.recording())))


def add(session: Session) -> None:
    drawn = Drawn.current(session)
    like = drawn.rows[-1:] or rows_of([RequestSpec(prompt_len=64, output_len=64)])
    drawn.put(session, [*drawn.rows, *like])


def without(session: Session) -> None:
    """Back to the scene's requests, which have texts of their own."""
    st.session_state[session.key("requests")] = None
    st.session_state[session.key("title")] = None
    st.session_state.pop(_KEY, None)
    closed()


def as_file(choice: Choice) -> str:
    """The scene file of what is chosen."""
    settings = choices.to_query(replace(choice, requests=None, title=None))
    return to_file(SavedScene(choice.requests or (), choice.title or "", settings))


def open_file(session: Session) -> None:
    upload: Any = st.session_state.get("opened_scene")
    if upload is None:
        return
    drawn = Drawn.current(session)
    try:
        if upload.size > MOST_BYTES:
            raise SavedError("too_large", most=MOST_BYTES)
        saved = from_file(upload.getvalue())
    except SavedError as error:
        drawn.problem = error.told(language())
        return
    known = {key: text for key, text in saved.settings.items() if key in choices.PARAMETERS}
    choice, problems = choices.from_query(known, language())
    session.put(replace(choice, requests=saved.requests, title=saved.title or None))
    drawn.put(session, rows_of(saved.requests))
    drawn.problem = " ".join(problems) or None
