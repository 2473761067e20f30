"""The row above the stage: scene, scheduler, run, settings, prompt, recording."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from backstage.choice import PACES
from backstage.session import OWN_PROMPT_TOKENS, Session
from backstage.words import inert, question
from minillm.config import PREEMPTIONS
from minillm.kv_cache.memories import MEMORIES
from minillm.live import FULL_SPEED
from minillm.scheduling.systems import SYSTEMS
from minillm.workload.scenes import SCENES

_POOL = {
    "block_size": "Of paged memory.",
    "num_blocks": "Of paged memory. Any other memory gets as many token slots.",
}


def draw(session: Session) -> None:
    with st.container(key="bar", horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.selectbox(
            "Scene",
            list(SCENES),
            key=session.key("scene"),
            format_func=lambda name: SCENES[name].title,
            on_change=session.scene_changed,
            label_visibility="collapsed",
            width=245,
        )
        st.selectbox(
            "Scheduler",
            list(SYSTEMS),
            key=session.key("scheduler"),
            on_change=session.way_changed,
            label_visibility="collapsed",
            width=138,
        )
        st.selectbox(
            "Memory",
            list(MEMORIES),
            key=session.key("memory"),
            on_change=session.way_changed,
            label_visibility="collapsed",
            width=168,
        )
        _run_buttons(session)
        st.space("stretch")
        with st.popover("Settings"):
            _settings(session)
        with st.popover("Your prompt", disabled=session.shown.run is None):
            _prompt(session)
        with st.popover("Recording"):
            _recording(session)
    if session.wants_run:
        with st.container(key="question"):
            words = f"Loading {inert(session.choice.model)} and building the engine…"
            with st.spinner(words):
                session.run_live()
        st.rerun()
    _question(session)
    with st.container(key="notes"):
        for note in session.notes():
            st.error(inert(note))
    session.write_link()


def _question(session: Session) -> None:
    """What the scene asks; beside it what to look for, and what the scheduler does."""
    scene, name = session.choice.the_scene, session.choice.scheduler
    memory = session.choice.memory
    with st.container(
        key="question", horizontal=True, wrap=False, vertical_alignment="center", gap="medium"
    ):
        st.markdown(question(session.shown.trace.header, session.choice), width="stretch")
        with st.popover("What to look for", type="tertiary"):
            st.markdown(scene.look_for)
        with st.popover("How it works", type="tertiary", key="about"):
            st.markdown(f"**{name}** · {SYSTEMS[name].source}")
            st.markdown(SYSTEMS[name].about)
            st.markdown(f"**{memory}** memory · {MEMORIES[memory].source}")
            st.markdown(MEMORIES[memory].about)


def _run_buttons(session: Session) -> None:
    live = session.shown.run is not None
    st.button(
        "Run again" if live else "Run live",
        key="run",
        type="secondary" if live else "primary",
        on_click=session.ask_to_run,
    )
    if live:
        st.button("Reset", key="reset", on_click=session.reset)
    now = (session.choice.scheduler, session.choice.memory)
    first, other = session.choice.the_scene.ways
    if live and now != other:
        what = other[0] if other[0] != first[0] else other[1]
        st.button(
            f"Try {what}",
            key="try_next",
            help="The same requests and the same seed, another way.",
            type="primary",
            on_click=session.ask_to_run,
            args=other,
        )


def _settings(session: Session) -> None:
    st.caption("For the next run. Empty: as the scene has it.")
    choice = session.choice
    given = choice.the_scene.settings_for(choice.scheduler, choice.memory)
    given |= {name: choice.the_scene.settings.get(name) for name in _POOL}
    left, right = st.columns(2)
    for column, (name, label) in zip(
        (left, right, left, right),
        (
            ("block_size", "Block size, tokens"),
            ("num_blocks", "KV blocks"),
            ("max_num_batched_tokens", "Token budget per step"),
            ("max_num_seqs", "Sequences at once"),
        ),
        strict=True,
    ):
        column.number_input(
            label,
            step=1,
            key=session.key(name),
            placeholder=_given(given.get(name)),
            help=_POOL.get(name),
        )
    left.selectbox(
        "Prefix caching",
        [True, False],
        key=session.key("enable_prefix_caching"),
        format_func=_given,
        placeholder=_given(given.get("enable_prefix_caching", given["kv_cache"] == "paged")),
    )
    right.selectbox("Preemption by", PREEMPTIONS, key=session.key("preemption"))
    left.number_input("Seed", min_value=0, step=1, key=session.key("seed"))
    right.selectbox(
        "Pace",
        PACES,
        key=session.key("pace"),
        format_func=lambda pace: "full speed" if pace == FULL_SPEED else f"{pace:g} steps/s",
    )
    left.text_input("Model", key=session.key("model"), help="pocket, a local folder, or a hub id")


def _given(value: int | bool | None) -> str:
    """A setting in words."""
    if value is None:
        return "chosen by the engine"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,}"


def _prompt(session: Session) -> None:
    with st.form("own", border=False):
        st.text_area("Your prompt joins the queue", key="own_prompt", height=90)
        st.number_input(
            "At most so many tokens", value=OWN_PROMPT_TOKENS, min_value=1, key="own_max_tokens"
        )
        st.form_submit_button("Send", on_click=session.send)
    if session.prompt_note:
        accepted, words = session.prompt_note
        (st.caption if accepted else st.error)(inert(words))


def _recording(session: Session) -> None:
    trace = session.shown.trace
    header = trace.header
    name = f"{header.scene or 'run'}-{header.scheduler}"
    st.download_button(
        "Download as trace file",
        lambda: "".join(line + "\n" for line in trace.lines()),
        f"{name}.jsonl",
        "application/jsonl",
        on_click="ignore",
    )
    st.download_button(
        "Download as a page that plays offline",
        lambda: _page(session),
        f"{name}.html",
        "text/html",
        on_click="ignore",
    )
    st.file_uploader("Open a recording", key="opened", on_change=session.open_file)


def _page(session: Session) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        session.shown.trace.to_html(path)
        return path.read_bytes()
