"""The Compare page's bar: the scene, the ways to serve it, and their axis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from backstage import bar, running
from backstage.session import Session
from backstage.speech import say, speaker
from backstage.way import DEVICES, FEWEST, MOST, REAL, RECORDED, Way
from backstage.words import inert
from minillm.kv_cache.memories import MEMORIES
from minillm.recordings import names
from minillm.scheduling.systems import SYSTEMS

LETTERS = "ABCD"
SIMULATED = "cpu"  # what is simulated at first: a laptop


def ways_of(session: Session) -> tuple[Way, ...]:
    """What is compared: what was chosen, else the scene's problem and what answers it. What comes
    with minillm has been recorded with seed 0: another is run here."""
    choice = session.choice
    device = RECORDED if choice.requests is None else SIMULATED
    ways = session.own["ways"] or tuple(Way(*way, device) for way in choice.the_scene.ways)
    return tuple(
        replace(way, device=REAL) if choice.seed and way.device == RECORDED else way for way in ways
    )


def draw(session: Session) -> None:
    if not session.look.hides("bar"):
        _bar(session)
    ways = ways_of(session)
    if session.wants_runs:
        place = st.container(key="question")
        line = place.progress(0.0, say("compare.loading"))

        def progress(number: int, share: float) -> None:
            words = say("compare.running", letter=LETTERS[number], share=f"{share:.0%}")
            line.progress(share, words)

        running.make_runs(session, ways, progress)
        st.rerun()
    for note in session.problems:
        st.error(inert(note))


def _bar(session: Session) -> None:
    ways = ways_of(session)
    with st.container(key="bar", horizontal=True, vertical_alignment="center", gap="xsmall"):
        bar.scene_box(session)
        with st.popover(say("compare.seed", seed=session.choice.seed), key="seed"):
            st.number_input(say("live.seed"), min_value=0, step=1, key=session.key("seed"))
            st.caption(say("compare.seed_note"))
        for number, way in enumerate(ways):
            with st.popover(f"{LETTERS[number]}: {way.scheduler} · {_device(way)}"):
                _way(session, number)
        if len(ways) < MOST:
            st.button(say("compare.add"), on_click=_add, args=(session,))
        lacking = any(_lacks(session, way) for way in ways)
        kind = "primary" if lacking else "secondary"
        if lacking or any(way.device == REAL for way in ways):
            st.button(say("compare.run"), key="runs", type=kind, on_click=session.ask_for_runs)


def _lacks(session: Session, way: Way) -> bool:
    from minillm.config import ConfigError

    try:
        return session.runs.get(session.choice, way) is None
    except ConfigError:
        return False


def _device(way: Way) -> str:
    if way.device in (RECORDED, REAL):
        return say(f"compare.{way.device}")
    return way.device


def _way(session: Session, number: int) -> None:
    """The settings of one way. What is chosen lives in the session; the widgets show it."""
    way, told = ways_of(session)[number], speaker()
    fields: dict[str, Any] = {"scheduler": list(SYSTEMS), "memory": list(MEMORIES)}

    def key(field: str) -> str:
        name = f"way-{number}-{field}"
        st.session_state[name] = getattr(way, field)
        return name

    def changed(field: str) -> None:
        _put(session, number, replace(way, **{field: st.session_state[f"way-{number}-{field}"]}))

    for field, options in fields.items():
        st.selectbox(
            say(f"live.{field}"), options, key=key(field), on_change=changed, args=(field,)
        )
    st.selectbox(
        say("compare.device"),
        DEVICES,
        key=key("device"),
        format_func=lambda name: told(f"compare.{name}_long") if name in (RECORDED, REAL) else name,
        on_change=changed,
        args=("device",),
    )
    for field, label in (("block_size", "live.block_size"), ("budget", "live.budget")):
        st.number_input(
            say(label),
            min_value=1,
            step=1,
            key=key(field),
            placeholder=say("compare.of_scene"),
            on_change=changed,
            args=(field,),
        )
    if len(ways_of(session)) > FEWEST:
        st.button(
            say("compare.remove"), key=f"drop-{number}", on_click=_drop, args=(session, number)
        )


def _put(session: Session, number: int, way: Way) -> None:
    """A way that no recording shows is simulated."""
    scene = session.choice.the_scene
    kept = scene.recording(way.scheduler, way.memory) in names()
    if way.device == RECORDED and (not kept or way.block_size or way.budget or session.choice.seed):
        way = replace(way, device=SIMULATED)
    ways = list(ways_of(session))
    ways[number] = way
    st.session_state[session.key("ways")] = tuple(ways)


def _add(session: Session) -> None:
    """One more: the last with a memory of another kind, simulated."""
    ways = ways_of(session)
    memory = next(name for name in MEMORIES if name not in {way.memory for way in ways})
    more = replace(ways[-1], memory=memory, device=SIMULATED)
    st.session_state[session.key("ways")] = (*ways, more)


def _drop(session: Session, number: int) -> None:
    ways = list(ways_of(session))
    del ways[number]
    st.session_state[session.key("ways")] = tuple(ways)
