"""What memory was held for: paged, token and contiguous on the same requests."""

from __future__ import annotations

import streamlit as st

from backstage import moments, terms
from backstage.front import part
from backstage.memory_marks import SIGNS, marks
from backstage.own import SIZES
from backstage.prefixes import tree
from backstage.rerun import rerun
from backstage.session import Session
from backstage.speech import explain, language, say, speaker
from backstage.words import inert
from minillm.config import ConfigError
from minillm.scheduling.systems import SYSTEMS
from minillm.trace.trace import Trace

WAYS = ("paged", "token", "contiguous-max")
TICK = 3.0  # seconds
_WORDS = (
    "paged",
    "contiguous",
    "reserved",
    "internal_fragmentation",
    "external_fragmentation",
    "cached_block",
    "copy_on_write",
    "swap",
)


def draw(session: Session) -> None:
    with st.container(key="page"):
        ticks = session.shown.grows
        st.fragment(run_every=TICK if ticks else None)(_memories)(session, ticks)
    moments.draw(session)


def _memories(session: Session, ticking: bool) -> None:
    shown, size = session.shown, session.own["kv_block"]
    place = st.container(key="headline")
    if not session.look.hides("settings"):
        told = speaker()
        st.select_slider(
            say("memory.block_size"),
            SIZES,
            key=session.key("kv_block"),
            format_func=lambda size: told("memory.tokens", n=size),
            width=420,
        )
        session.write_link()
    if not any(r.rejected is None for r in shown.trace.requests):
        place.markdown(say("memory.nothing"))
        return
    try:
        runs = memories(shown.trace, session.choice.scheduler, size)
    except ConfigError as error:
        place.error(inert(explain(error)))
        return
    place.markdown(headline(runs))
    _chart(runs)
    if found := signs(runs):
        st.caption(found)
    st.caption(say("memory.simulated", scheduler=runs["paged"].header.scheduler))
    st.caption(terms.line(*_WORDS))
    drawn = tree(shown.trace, session.look.step)
    if drawn is not None:
        part("tree")(key="tree", data=drawn)
    if ticking != shown.grows:
        st.rerun()


def memories(trace: Trace, chosen: str, block_size: int) -> dict[str, Trace]:
    """The requests of `trace` in each memory, simulated; under its own scheduler if minillm knows
    it, else the one that is chosen."""
    scheduler = trace.header.scheduler if trace.header.scheduler in SYSTEMS else chosen
    return {
        memory: rerun(
            trace, scheduler, memory, block_size=block_size if memory != "token" else None
        )
        for memory in WAYS
    }


def headline(runs: dict[str, Trace]) -> str:
    """What paging gains, in Markdown."""
    paged, contiguous = runs["paged"], runs["contiguous-max"]
    header = paged.header
    return say(
        "memory.gain",
        slots=header.num_blocks * header.block_size,
        paged=max(paged.series.running, default=0),
        contiguous=max(contiguous.series.running, default=0),
        lost=f"{lost(contiguous):.0f} %",
        kept=f"{lost(paged):.0f} %",
    )


def lost(trace: Trace) -> float:
    """Mean share of the pool that is of no use to anybody, %."""
    shares = trace.memory().shares()
    return shares["reserved"] + shares["internal"] + shares["external"]


def signs(runs: dict[str, Trace]) -> str:
    """What the marks in the chart mean: those that are there."""
    kinds = {row["kind"] for trace in runs.values() for row in marks(trace)}
    return " · ".join(
        f"{SIGNS[kind]} {say(f'memory.mark_{kind}')}" for kind in SIGNS if kind in kinds
    )


def _chart(runs: dict[str, Trace]) -> None:
    from backstage.memory_chart import memory_chart
    from backstage.pictures import draw, theme

    draw(memory_chart(runs, language(), theme()), "memories")
