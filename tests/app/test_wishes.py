"""What a visitor asked for is done even if Streamlit breaks the run of the script off in its midst,
as it does whenever the browser reports something."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from backstage import opening, running
from backstage.own import defaults
from backstage.way import REAL, Way
from streamlit.runtime.scriptrunner import RerunException
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData

from minillm.recordings import bundled


@pytest.fixture
def session(page: Any) -> Any:
    return page("compare", scene="memory").session_state["session"]


def broken_off(*_: Any) -> None:
    raise RerunException(RerunData())


class Upload(BytesIO):
    name = "mine.jsonl"


def test_a_file_is_opened_in_the_next_run_of_the_script(session: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(opening, "desk", lambda: type("Desk", (), {"reset": lambda _: None})())
    session.opening = Upload(Path(bundled("memory-orca")).read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(opening, "from_file", broken_off)
        with pytest.raises(RerunException):
            opening.open_asked(session, lambda share: None)
    assert session.opening is not None
    opening.open_asked(session, lambda share: None)
    assert session.opening is None
    assert session.shown.header["scheduler"] == "orca"


def test_a_file_that_is_refused_is_refused_once(session: Any) -> None:
    session.opening = Upload(b"no trace")
    opening.open_asked(session, lambda share: None)
    assert "mine.jsonl" in session.problems[0]
    assert session.opening is None


def test_runs_to_compare_are_made_until_all_are_there(
    session: Any, monkeypatch: Any, pocket: Any
) -> None:
    from backstage.engines import Desk, EngineRoom

    monkeypatch.setattr(running, "desk", lambda: Desk(EngineRoom()))
    monkeypatch.setattr(running, "weights", lambda: type("W", (), {"get": lambda *_: pocket})())
    ways = [Way("orca", "paged", REAL), Way("vllm", "paged", REAL)]
    session.ask_for_runs()

    def first_only(number: int, share: float) -> None:
        if number:
            broken_off()

    with pytest.raises(RerunException):
        running.make_runs(session, ways, first_only)
    assert session.wants_runs
    there = [session.runs.get(session.choice, replace(way, device=REAL)) for way in ways]
    assert there[0] is not None
    assert there[1] is None
    told: set[int] = set()
    running.make_runs(session, ways, lambda number, share: told.add(number))
    assert told == {1}
    assert not session.wants_runs


def test_another_page_ends_the_wish_for_runs(session: Any) -> None:
    session.ask_for_runs()
    session.turn_to("memory")
    assert not session.wants_runs


def test_an_error_nobody_foresaw_ends_the_wish(session: Any) -> None:
    session.wants_run = True
    with pytest.raises(KeyError), session.fulfilling("wants_run"):
        raise KeyError
    assert not session.wants_run


def test_what_is_chosen_outlives_a_run_that_drew_no_widget(page: Any) -> None:
    session = page("live", scene="memory", scheduler="orca").session_state["session"]
    assert "scene-1" not in st.session_state  # outside of a run there are no widgets
    assert (session.choice.scene, session.choice.scheduler) == ("memory", "orca")
    assert session.own == defaults()
