"""What the app says, in the visitor's language."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from minillm import messages
from minillm.messages import DEFAULT, LANGUAGES
from minillm.messages.refusal import Refusal

_KEY = "language"


def language() -> str:
    """The visitor's language: chosen here or by the link, else the browser's, else English."""
    return st.session_state.get(_KEY) or of_browser()


def speak(language: str) -> None:
    """From now on, this language."""
    st.session_state[_KEY] = language


def of_browser() -> str:
    """The language of the visitor's browser, where minillm speaks it."""
    wanted = (st.context.locale or "").split("-")[0].lower()
    return wanted if wanted in LANGUAGES else DEFAULT


def explain(error: Exception) -> str:
    """What `error` says, in the visitor's language where it can."""
    return error.told(language()) if isinstance(error, Refusal) else str(error)


def speaker() -> Callable[..., str]:
    """`say` in the language of now, for what is called later and perhaps elsewhere."""
    return partial(messages.say, language())


def say(key: str, **values: Any) -> str:
    """The text of `key` in the visitor's language."""
    return messages.say(language(), key, **values)
