"""What lives as long as the process, and what lives as long as a session."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import threading
from weakref import WeakValueDictionary

import streamlit as st

from backstage.engines import MAX_ENGINES, Desk, EngineRoom
from backstage.lesson import Lectern, Lessons
from backstage.shown import Shown
from backstage.weights import Weights
from backstage.xrays import XRays

CHARTS = "minillm.charts.charts"
SWITCH_INTERVAL = 0.0005  # seconds
log = logging.getLogger(__name__)


@st.cache_resource(show_spinner=False)
def engine_room() -> EngineRoom:
    # An engine thread gives the interpreter away at every torch call and has to get it back from
    # the threads that serve pages. At the usual 5 ms a try, a prefill took four times as long.
    sys.setswitchinterval(SWITCH_INTERVAL)
    return EngineRoom(_asked().max_engines)


def _asked() -> argparse.Namespace:
    """What `minillm app` was told and hands on; everything else on the command line is not ours."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--max-engines", type=int, default=MAX_ENGINES)
    return parser.parse_known_args(sys.argv[1:])[0]


@st.cache_resource(show_spinner=False)
def feeds() -> WeakValueDictionary[str, Shown]:
    """What browsers may ask for, by its token: nobody can guess it."""
    return WeakValueDictionary()


@st.cache_resource(show_spinner=False)
def lessons() -> Lessons:
    return Lessons()


@st.cache_resource(scope="session", on_release=Lectern.close, show_spinner=False)
def lectern() -> Lectern:
    """From here a session lets others follow; they are told when its connection ends."""
    return Lectern(lessons())


@st.cache_resource(show_spinner=False)
def kernel_xrays() -> XRays:
    return XRays()


@st.cache_resource(show_spinner=False)
def weights() -> Weights:
    return Weights()


@st.cache_resource(show_spinner=False)
def warm_up() -> threading.Thread:
    """Import what takes seconds (Altair, torch, transformers) and load the pocket model, in a
    thread, once per process."""
    thread = threading.Thread(target=_warm, args=(weights(),), name="minillm-warm", daemon=True)
    thread.start()
    return thread


def _warm(weights: Weights) -> None:
    try:
        importlib.import_module(CHARTS)
        weights.get("pocket")
    except Exception:  # told again, to the visitor, when it is needed
        log.exception("loading ahead of time failed")


@st.cache_resource(scope="session", on_release=Desk.close, show_spinner=False)
def desk() -> Desk:
    """This session's desk; closed as soon as the browser's connection ends."""
    return Desk(engine_room())
