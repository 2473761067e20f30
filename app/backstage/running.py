"""Engines set to work for a visitor: a live run, runs to compare, a prompt of the visitor's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import streamlit as st

from backstage.engines import TooManyEngines
from backstage.session import Session
from backstage.shared import desk, weights
from backstage.shown import Shown, live
from backstage.speech import explain, say
from backstage.way import REAL, Way
from minillm.request import SamplingParams

OWN_PROMPT_TOKENS = 60


def run_live(session: Session) -> None:
    """Start the live run that was asked for; on failure say why and keep what is shown."""
    session.problems, session.prompt_note = [], None
    choice = session.choice
    with session.fulfilling("wants_run"), _told(session):
        session.show(live(desk().start(weights().get(choice.model.strip()), choice)))


@contextmanager
def _told(session: Session) -> Iterator[None]:
    """What goes wrong with an engine becomes a note above the stage."""
    from minillm.config import ConfigError
    from minillm.execution.loaded_model import ModelError
    from minillm.request import RequestRejected

    try:
        yield
    except TooManyEngines:
        session.waits = True
    except (ConfigError, ModelError, RequestRejected) as error:
        session.problems = [explain(error)]
    except (MemoryError, RuntimeError) as error:  # torch: out of memory
        session.problems = [say("live.not_built", error=error)]


def make_runs(
    session: Session, ways: Sequence[Way], progress: Callable[[int, float], None]
) -> None:
    """Make those of `ways` that are missing on this machine, one after another; `progress`
    hears which and how far. On failure say why. Made ones are kept, if this is broken off."""
    session.problems = []
    if session.shown.run is not None:
        session.show(Shown(session.shown.trace, "live"))
    with session.fulfilling("wants_runs"), _told(session), desk().alone():
        loaded = weights().get(session.choice.model.strip())
        for number, way in enumerate(ways):
            if session.runs.get(session.choice, way) is None:
                # To simulate one, too, a real run has to say how long its answers are.
                real = replace(way, device=REAL)
                session.runs.make(loaded, session.choice, real, partial(progress, number))


def send(session: Session) -> None:
    """Send the visitor's own prompt to the live engine."""
    text, most = st.session_state.own_prompt, st.session_state.own_max_tokens
    run = session.shown.run
    if run is None or not run.alive:
        session.prompt_note = (False, say("live.prompt_no_engine"))
        return
    if not text.strip():
        session.prompt_note = (False, say("live.prompt_empty"))
        return
    sampling = SamplingParams(temperature=0, max_tokens=most)
    try:
        run.submit([{"role": "user", "content": text}], sampling, client="you")
    except (ValueError, RuntimeError) as error:
        session.prompt_note = (False, explain(error))
        return
    session.shown.expect_more()
    session.prompt_note = (True, say("live.prompt_sent" if run.playing else "live.prompt_paused"))
    st.session_state.own_prompt = ""
