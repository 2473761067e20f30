"""How tall the visitor's window is: the stage fills what the bar leaves of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import streamlit as st

USUAL = 720  # CSS px, until the browser has said
LEAST, MOST = 560, 2400

_SCRIPT = """
export default function ({ setStateValue, data }) {
  let told = data.known;
  let timer = 0;
  const tell = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (Math.abs(window.innerHeight - told) < 2) return;
      told = window.innerHeight;
      setStateValue("height", told);
    }, 250);
  };
  tell();
  window.addEventListener("resize", tell);
  return () => {
    clearTimeout(timer);
    window.removeEventListener("resize", tell);
  };
}
"""


def viewport_height() -> int:
    """CSS px of window height. The browser reports it, and each change, by a rerun."""
    said = st.session_state.get("viewport", {}).get("height")
    height = max(LEAST, min(said, MOST)) if isinstance(said, int) else USUAL
    _component()(key="viewport", data={"known": height}, on_height_change=_nothing)
    return height


@cache
def _component() -> Callable[..., Any]:
    from streamlit.components.v2 import component

    return component("minillm_viewport", js=_SCRIPT)


def _nothing() -> None:
    """Streamlit reports a value only where a callback is given."""
