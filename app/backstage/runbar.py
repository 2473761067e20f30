"""The line below a live run: where it runs, how fast, and what watching it costs."""

from __future__ import annotations

from itertools import islice

import streamlit as st

from backstage.session import Session
from backstage.shown import Shown
from backstage.speech import say
from backstage.words import inert

HEIGHT = 26  # CSS px
RECENT = 40  # steps that the rate is taken over


def height(session: Session) -> int:
    """CSS px that the line takes."""
    return 0 if session.shown.run is None or session.look.hides("status") else HEIGHT


def draw(session: Session) -> None:
    shown = session.shown
    if not height(session):
        return
    header, run = shown.trace.header, shown.run
    engine = run.cpu_seconds if run is not None else 0.0
    parts = [
        say("runbar.device", device=inert(header.device)),
        say("runbar.model", model=inert(header.model), dtype=inert(header.dtype)),
        say("runbar.rate", rate=f"{rate(shown):,.0f}"),
    ]
    if engine > 0:
        share = f"{shown.view_seconds / engine * 100:.1f} %"
        parts.append(say("runbar.cost", share=share))
    with st.container(key="runbar"):
        st.markdown(" · ".join(parts))


def rate(shown: Shown) -> float:
    """Tokens per second of engine time over the last steps; 0 before the first."""
    steps = shown.trace.steps
    last = list(islice(reversed(steps), RECENT))
    spent = sum(step.duration for step in last)
    tokens = sum(len(new) for step in last for new in step.tokens.values())
    return tokens / spent * 1e9 if spent else 0.0
