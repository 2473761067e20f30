"""What opens from the bar: settings of the next run, the visitor's prompt, the recording."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from backstage import files, opening, running
from backstage.choice import PACES
from backstage.running import OWN_PROMPT_TOKENS
from backstage.session import Session
from backstage.speech import language, say, speaker
from backstage.words import inert
from minillm.config import PREEMPTIONS
from minillm.live import FULL_SPEED

_NUMBERS = {
    "block_size": "live.block_size",
    "num_blocks": "live.num_blocks",
    "max_num_batched_tokens": "live.budget",
    "max_num_seqs": "live.max_num_seqs",
}
_POOL = {"block_size": "live.block_size_help", "num_blocks": "live.num_blocks_help"}


def settings(session: Session) -> None:
    st.caption(say("live.settings_note"))
    choice, told = session.choice, speaker()
    given = choice.the_scene.settings_for(choice.scheduler, choice.memory)
    given |= {name: choice.the_scene.settings.get(name) for name in _POOL}
    left, right = st.columns(2)
    for column, (name, label) in zip((left, right, left, right), _NUMBERS.items(), strict=True):
        column.number_input(
            say(label),
            step=1,
            key=session.key(name),
            placeholder=_given(told, given.get(name)),
            help=say(_POOL[name]) if name in _POOL else None,
        )
    left.selectbox(
        say("live.prefix_caching"),
        [True, False],
        key=session.key("enable_prefix_caching"),
        format_func=partial(_given, told),
        placeholder=_given(told, given.get("enable_prefix_caching", given["kv_cache"] == "paged")),
    )
    right.selectbox(
        say("live.preemption"),
        PREEMPTIONS,
        key=session.key("preemption"),
        format_func=lambda name: told(f"live.{name}"),
    )
    left.number_input(say("live.seed"), min_value=0, step=1, key=session.key("seed"))
    pace_key = session.key("pace")
    right.selectbox(say("live.pace"), PACES, key=pace_key, format_func=partial(_pace, told))
    left.text_input(say("live.model"), key=session.key("model"), help=say("live.model_help"))


def _pace(told: Callable[..., str], pace: float) -> str:
    if pace == FULL_SPEED:
        return told("live.pace_full")
    return told("live.pace_steps", steps=f"{pace:g}")


def _given(told: Callable[..., str], value: int | bool | None) -> str:
    """A setting in words."""
    if value is None:
        return told("live.by_engine")
    if isinstance(value, bool):
        return told("live.on" if value else "live.off")
    return f"{value:,}"


def prompt(session: Session) -> None:
    with st.form("own", border=False):
        st.text_area(say("live.prompt_joins"), key="own_prompt", height=90)
        st.number_input(
            say("live.prompt_tokens"), value=OWN_PROMPT_TOKENS, min_value=1, key="own_max_tokens"
        )
        st.form_submit_button(say("live.send"), key="send", on_click=running.send, args=(session,))
    if session.prompt_note:
        accepted, words = session.prompt_note
        (st.caption if accepted else st.error)(inert(words))


def recording(session: Session) -> None:
    trace = session.shown.trace
    name, spoken = files.name_of(trace), language()
    st.download_button(
        say("live.download_trace"),
        lambda: files.as_trace(trace, spoken),
        f"{name}.jsonl",
        "application/jsonl",
        on_click="ignore",
    )
    st.download_button(
        say("live.download_page"),
        lambda: files.as_page(trace, spoken),
        f"{name}.html",
        "text/html",
        on_click="ignore",
    )
    st.file_uploader(say("live.open"), key="opened", on_change=opening.open_file, args=(session,))
