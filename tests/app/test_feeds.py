"""What browsers fetch of a run that grows."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from backstage import feeds as module
from backstage.choice import Choice
from backstage.engines import Desk, EngineRoom
from backstage.shown import Shown, live
from starlette.applications import Starlette
from starlette.testclient import TestClient


@pytest.fixture
def run_of(pocket: Any, until: Any) -> Any:
    """A run that has been served, watched."""
    desk = Desk(EngineRoom())
    run = desk.start(pocket, Choice(scene="static", pace=0.0))
    until(lambda: run.idle)
    yield live(run)
    desk.close()


@pytest.fixture
def ask(monkeypatch: Any) -> Any:
    """`ask(token, **query)`: the reply of a server that has `ask.open`."""
    open_: dict[str, Shown] = {}
    monkeypatch.setattr(module, "feeds", lambda: open_)
    client = TestClient(Starlette(routes=[module.route()]))

    def get(token: str, **query: Any) -> Any:
        return client.get(f"/feed/{token}", params=query)

    get.open = open_  # pyright: ignore[reportFunctionMemberAccess]
    return get


def test_what_has_come_is_told_from_where_it_is_asked_for(ask: Any, run_of: Any) -> None:
    ask.open["t"] = run_of
    first = ask("t", next=0, lang="en")
    assert first.headers["cache-control"] == "no-store"
    told = first.json()
    steps = [json.loads(line) for line in run_of.run.recorder.encoded_since(0)]
    assert told["records"] == steps
    assert (told["session"], told["first"], told["total"]) == (run_of.session, 0, len(steps))
    assert told["running"] is False
    assert told["more"] is True
    assert told["line"].startswith("Device cpu")
    assert ask("t", next=3, lang="zh").json()["records"] == steps[3:]
    assert ask("t", next=len(steps) + 9).json()["records"] == []


def test_a_feed_says_when_no_more_will_come(ask: Any, run_of: Any) -> None:
    ask.open["t"] = run_of
    answers = [ask("t", next=0).json()["more"] for _ in range(20)]
    assert answers[0]
    assert not answers[-1]


@pytest.mark.parametrize("asked", ["-1", "x", "1e9", "", "²", "9" * 5000])
def test_nonsense_is_answered_with_nothing_new(ask: Any, run_of: Any, asked: str) -> None:
    ask.open["t"] = run_of
    reply = ask("t", next=asked, lang="../x")
    assert reply.status_code == 200
    assert reply.json()["records"] == []


def test_nobody_guesses(ask: Any) -> None:
    reply = ask("guess")
    assert (reply.status_code, reply.content) == (204, b"")


def test_who_follows_cannot_fetch(ask: Any, run_of: Any) -> None:
    """The session is told to all who see the stage, and known to them when the class is over."""
    ask.open[run_of.token] = run_of
    assert ask(run_of.token, next=0).status_code == 200
    assert ask(run_of.session, next=0).status_code == 204


def test_two_who_look_at_once_take_each_step_over_once(run_of: Any) -> None:
    start = threading.Barrier(8)

    def look() -> None:
        start.wait()
        run_of.catch_up()

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run_of.records == run_of.run.recorder.encoded_since(0)
