"""Copy-on-write and swap in the run itself: its blocks over time, and the moments to go to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import streamlit as st

from backstage import view
from backstage.front import part
from backstage.session import Session
from backstage.speech import say
from minillm.events import Copied, Event, Forked, SwappedIn, SwappedOut
from minillm.trace.trace import Trace

MOST = 24  # moments with a button
POINTS = 400  # of the curve
STAGE_HEIGHT = 500  # CSS px
_KEY = "moments"


class Moment(NamedTuple):
    """At step `step`, `blocks` blocks were copied, shared or moved for sequence `id`."""

    step: int
    kind: str  # "copied" | "forked" | "swapped_out" | "swapped_in"
    id: str
    blocks: int


def draw(session: Session) -> None:
    st.fragment(_moments)(session)


def _moments(session: Session) -> None:
    trace = session.shown.trace
    found = moments(trace)
    with st.container(key="page-moments"):
        if not found:
            st.caption(say("memory.moments_none"))
            return
        st.markdown(say("memory.moments", n=len(found), held=most_held(trace)))
        part("moments")(
            key=_KEY, data=drawn(trace, found), on_step_change=lambda: _go(session, found)
        )
        if len(found) > MOST:
            st.caption(say("memory.moments_more", shown=MOST, n=len(found)))
    view.draw_moment(session, STAGE_HEIGHT)


def moments(trace: Trace) -> list[Moment]:
    """In the order of the run."""
    return [
        moment
        for step in list(trace.steps)
        for event in (*step.events, *step.after)
        for moment in _of(step.index, event)
    ]


def _of(step: int, event: Event) -> Iterator[Moment]:
    match event:
        case Copied():
            yield Moment(step, "copied", event.id, 1)
        case Forked():
            yield Moment(step, "forked", event.child, len(event.blocks))
        case SwappedOut():
            yield Moment(step, "swapped_out", event.id, len(event.cpu_blocks))
        case SwappedIn():
            yield Moment(step, "swapped_in", event.id, len(event.copies))


def most_held(trace: Trace) -> str:
    """Of the pool, at the fullest."""
    return f"{max(trace.series.used_blocks, default=0) / trace.header.num_blocks:.0%}"


def drawn(trace: Trace, found: list[Moment]) -> dict[str, Any]:
    """What the front end draws: steps and shares of the pool that are held (the largest of each
    stretch), and the moments."""
    used, last = list(trace.series.used_blocks), len(trace.series.used_blocks) - 1
    size = max(1, -(-len(used) // POINTS))
    curve = [
        [at, max(used[at : at + size]) / trace.header.num_blocks]
        for at in range(0, len(used), size)
    ]
    return {
        "curve": curve,
        "last": max(1, last),
        "moments": [
            [
                each.step,
                each.kind,
                each.id,
                say(f"memory.moment_{each.kind}", step=each.step, n=each.blocks),
            ]
            for each in found[:MOST]
        ],
        "text": {name: say(f"memory.moments_{name}") for name in ("held", "steps")},
    }


def _go(session: Session, found: list[Moment]) -> None:
    """To the moment that was clicked; the stage below moves there."""
    number = st.session_state[_KEY].get("step")
    if isinstance(number, int) and 0 <= number < min(MOST, len(found)):
        session.look_at(found[number].step, found[number].id)
