"""The stage in Streamlit, through `st.components.v2`. Streamlit is imported when it is mounted.

Reruns may lose updates, so nothing here relies on one arriving: each call sends the records that
the stage has not acknowledged yet, marked with the index of the first, and the stage says through
its state `ack` how far it is. An acknowledgement costs a rerun; there is none for a short recording
that arrived whole. A long recording is sent at once, packed. What grows is not sent again and again
with the stage's script: `streamlit_feed` brings what comes after the call.

Step and selection go both ways, so that a link can hold them. Out: with `on_state`, the stage
reports `state` = `{"step", "selection", "playing", …}` where it rests (and once when it starts to
play), each report a rerun; read it from `st.session_state[key]["state"]` or from the result. In:
`step` and `select` move the mounted stage when they change, without starting it over. What the
stage said itself may be handed back to it, so both directions together are safe:

    def remember():
        state = st.session_state.stage["state"]
        st.query_params["step"] = str(state["step"])

    stage(header, records, key="stage", step=step_of_the_link, on_state=remember)

A report may cross with a wish of the host's own, such as a click elsewhere on the page. So count
these wishes in `order`: the stage obeys a new one whatever it has said meanwhile, each report names
the last one obeyed, and a report of an older one is to be dropped.

One who follows passes the teacher's step and selection, and `follow=True`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from msgspec import json

from minillm.messages import DEFAULT, spoken
from minillm.stage.bundle import bundle, stylesheet
from minillm.stage.payload import comparison, packed, together

if TYPE_CHECKING:
    from streamlit.components.v2.bidi_component import ComponentResult

_PACKED = "minillm_packed"  # key of the session state
MOST_PER_CHUNK = 4000  # records; a recording with more is sent whole, packed


def stage(
    header: dict[str, Any],
    records: Sequence[bytes],
    *,
    key: str,
    session: str = "",
    mode: Literal["replay", "live"] = "replay",
    height: int = 720,
    language: str = DEFAULT,
    step: int | None = None,
    select: str | None = None,
    order: int = 0,
    on_control: Callable[[], None] | None = None,
    on_state: Callable[[], None] | None = None,
    tell_every: int = 0,
    follow: bool = False,
    **options: Any,
) -> ComponentResult:
    """Mount the stage, or bring the mounted one up to date.

    `header` is the first line of a trace file, parsed, and `records` are the other lines as they
    stand there (keyframes behind the first step are of no use); `records` only ever grows within
    one `session` (any string; a new one makes the stage start over). `height` is in CSS px.
    `language` is one of `minillm.messages.LANGUAGES`. `step` (its number) and `select` (an id) are
    what to show, at first and whenever they change; no `step` leaves the moment to the stage.
    `options`: `start`, `autoplay`, `hold`, `present`, `notes`, `compact`, `theme`, `wholePage`;
    changing one of them or the language starts the stage over.

    `result.control` is, for the run it causes, `{"action": "play" | "pause" | "step" | "speed",
    "value": …}`: what a live engine is asked to do (`value` of "speed": steps per second, None
    for no limit). `on_control` is called before that run, as Streamlit callbacks are.
    `result.state` is the last report, for which there must be an `on_state`; `tell_every` (ms) is
    for reports while the stage plays, too. `follow`: nothing moves the stage but `step` and
    `select`, and its controls are gone.
    """
    import streamlit as st

    said = st.session_state.get(key)
    first = min(_acknowledged(said, session), len(records))
    whole = mode == "replay" and len(records) - first > MOST_PER_CHUNK
    return _component()(
        key=key,
        height=height,
        data={
            "session": session,
            "header": header,
            "first": first,
            "records": [] if whole else json.decode(_list(records[first : first + MOST_PER_CHUNK])),
            "packed": _whole(session, records, first) if whole else None,
            "total": len(records),
            "mode": mode,
            "height": height,
            "goto": {"step": step, "select": select, "order": order, "heard": _heard(said)},
            "reports": on_state is not None,
            "tell_every": tell_every,
            "follow": follow,
            "options": {"language": spoken(language), **options},
        },
        on_control_change=on_control or _nothing,
        on_ack_change=_nothing,
        on_state_change=on_state or _nothing,
    )


def stages(
    traces: Sequence[Iterable[str]],
    *,
    key: str,
    session: str,
    names: Sequence[str] | None = None,
    axis: Literal["time", "step"] = "time",
    differences: Sequence[Mapping[str, Any]] = (),
    height: int = 1080,
    language: str = DEFAULT,
    step: int | None = None,
    select: str | None = None,
    order: int = 0,
    on_state: Callable[[], None] | None = None,
    **options: Any,
) -> ComponentResult:
    """Mount two to four stages with one cursor: the same engine time, or the same step.

    `traces`: the lines of each, as in a file, read only to be sent: once per `session` (any string;
    another one stands for other traces). `names` stand in place of their titles. `differences`,
    each `{"time": ns, "text": …}`, are flagged, told as the cursor passes them, and jumped to.
    `height` is in CSS px, of all together. The rest is as for `stage`; `step` is a step of the
    recording that leads, the longest on the axis. ValueError where they cannot be compared so.
    """
    import streamlit as st

    given = comparison(len(traces), names, axis, differences)
    said = st.session_state.get(key)
    arrived = _session_of(said) == session
    return _together()(
        key=key,
        data={
            "session": session,
            "traces": None if arrived else together(_parts(trace) for trace in traces),
            "goto": {"step": step, "select": select, "order": order, "heard": _heard(said)},
            "reports": on_state is not None,
            "options": {"language": spoken(language), "height": height, **given, **options},
        },
        on_ack_change=_nothing,
        on_state_change=on_state or _nothing,
    )


def _parts(lines: Iterable[str]) -> tuple[str, Iterable[str]]:
    """The header's line, and those behind it."""
    behind = iter(lines)
    return next(behind), behind


def _session_of(said: Any) -> str | None:
    """The session whose traces have arrived, as the component acknowledged it."""
    ack = said.get("ack") if isinstance(said, dict) else None
    return ack.get("session") if isinstance(ack, dict) else None


def _acknowledged(state: Any, session: str) -> int:
    """Index of the next record the stage wants; 0 when it speaks of another session."""
    ack = state.get("ack") if isinstance(state, dict) else None
    if not isinstance(ack, dict) or ack.get("session") != session:
        return 0
    following = ack.get("next")
    return following if isinstance(following, int) and following >= 0 else 0


def _list(lines: Sequence[bytes]) -> bytes:
    """The lines as one JSON list."""
    return b"[" + b",".join(lines) + b"]"


def _whole(session: str, records: Sequence[bytes], first: int) -> str:
    """All records from `first` on, packed; kept for the other runs that send them, of whichever
    page, until another long recording is shown."""
    import streamlit as st

    what = (session, first, len(records))
    kept = st.session_state.get(_PACKED)
    if kept is None or kept[0] != what:
        kept = st.session_state[_PACKED] = what, packed(_list(records[first:]))
    return kept[1]


def _heard(said: Any) -> int:
    """Number of the last report of the stage's state that has arrived; 0 before the first."""
    state = said.get("state") if isinstance(said, dict) else None
    return state["serial"] if isinstance(state, dict) else 0


@cache
def _component() -> Callable[..., ComponentResult]:
    from streamlit.components.v2 import component

    return component("minillm_stage", css=stylesheet(), js=bundle("streamlit"))


@cache
def _together() -> Callable[..., ComponentResult]:
    from streamlit.components.v2 import component

    return component("minillm_stages", css=stylesheet(), js=bundle("streamlit_together"))


def _nothing() -> None:
    """Streamlit reports a value only where a callback is given."""
