"""The Kernel page's parts: what is X-rayed, and the picture of it."""

from __future__ import annotations

import streamlit as st

from backstage import bar, shell
from backstage.session import Session
from backstage.shared import kernel_xrays
from backstage.speech import language, say, speaker
from backstage.viewport import viewport_height
from backstage.words import inert
from backstage.xrays import FIRST, KERNELS, PLACE, SIZES, Wanted, XRays
from minillm.stage.xray_host import xray_picture
from minillm.xray import XRayError
from minillm.xray.case import LAYOUTS
from minillm.xray.cases import CASES

_SHOWN, _FAILED, _PICTURE = "xray-shown", "xray-failed", "xray"


def draw(session: Session) -> None:
    room = kernel_xrays()
    hides = session.look.hides
    if not hides("bar"):
        _choices(session)
    own = session.own
    wanted = Wanted(own["kernel"], own["case"], own["kernel_block"])
    place = st.container(
        key="question", horizontal=True, wrap=False, vertical_alignment="center", gap="medium"
    )
    ready = room.ready(wanted)
    shown = wanted if ready is not None else st.session_state.get(_SHOWN, FIRST)
    # What is shown stays while another is taken: there is always a picture.
    _picture(session, room, shown)
    st.session_state[_SHOWN] = shown
    if ready is None:
        with place:
            _take(room, wanted, shown)
    elif not hides("question"):
        with place:
            _question()


def _choices(session: Session) -> None:
    told = speaker()
    with st.container(key="bar", horizontal=True, vertical_alignment="center", gap="xsmall"):
        for name, options, width, text in (
            ("kernel", KERNELS, 190, str),
            ("case", list(CASES), 400, lambda name: told(f"kernel.case_{name}")),
            ("kernel_block", SIZES, 190, lambda size: told("kernel.block_of", n=size)),
            ("layout", LAYOUTS, 120, str),
        ):
            st.selectbox(
                say(f"kernel.choose_{name}"),
                options,
                key=session.key(name),
                format_func=text,
                label_visibility="collapsed",
                width=width,
                on_change=None if name == "layout" else _begin_anew,
                args=(session,),
            )


def _picture(session: Session, room: XRays, shown: Wanted) -> None:
    texts = room.ready(shown)
    if texts is None:  # others have been taken since
        texts = room.ready(FIRST)
        shown = FIRST
    assert texts is not None
    above = bar.height(session) + (not session.look.hides("nav")) * shell.HEIGHT
    options = {"present": True, "wholePage": True} if session.look.present else {}
    if session.look.hides("controls"):
        options["bare"] = True
    with st.container(key="view"):
        xray_picture(
            "-".join(map(str, shown)),
            texts,
            key=_PICTURE,
            layout=session.own["layout"],
            place=session.own["load"],
            height=viewport_height() - above - 2,
            language=language(),
            on_layout=lambda: _layout_clicked(session),
            on_place=lambda: _moved(session),
            **options,
        )


def _layout_clicked(session: Session) -> None:
    name = st.session_state[_PICTURE].get("layout")
    if name in LAYOUTS:
        session.choose("layout", name)


def _moved(session: Session) -> None:
    place = st.session_state[_PICTURE].get("place")
    if isinstance(place, str) and PLACE.fullmatch(place):
        st.session_state[session.key("load")] = place


def _begin_anew(session: Session) -> None:
    """Another X-ray has other programs and loads."""
    st.session_state[session.key("load")] = ""


def _take(room: XRays, wanted: Wanted, shown: Wanted) -> None:
    """Interpret what is not ready; where that failed before, say why."""
    failed = st.session_state.get(_FAILED)
    if failed and failed[0] == wanted:
        st.error(failed[1])
        return
    text = "kernel.interpreting_queue" if room.busy else "kernel.interpreting"
    words = say(text, kernel=wanted.kernel, seconds=room.seconds(wanted), shown=_name(shown))
    with st.spinner(inert(words)):
        try:
            room.take(wanted)
        except XRayError as error:
            st.session_state[_FAILED] = (wanted, _told(error))
    st.rerun()


def _name(wanted: Wanted) -> str:
    size = say("kernel.block_of", n=wanted.block_size)
    return f"{wanted.kernel}, {say(f'kernel.case_{wanted.case}')}, {size}"


def _told(error: XRayError) -> str:
    from importlib.util import find_spec

    if find_spec("triton") is None:
        return say("kernel.no_triton")
    return say("kernel.failed", why=inert(str(error)))


def _question() -> None:
    st.markdown(say("kernel.question"), width="stretch")
    with st.popover(say("kernel.how"), type="tertiary", key="about"):
        st.markdown(say("kernel.observed"))
        st.markdown(say("kernel.counted"))
