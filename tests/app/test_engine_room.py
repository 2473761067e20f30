"""Desks and the engine room: how many engines there are, and when they end."""

from __future__ import annotations

import threading

import pytest
from backstage import engines
from backstage.choice import Choice
from backstage.engines import PATIENCE, Desk, EngineRoom, TooManyEngines

from minillm.config import ConfigError


def test_an_engine_ends_with_its_desk(pocket, until) -> None:
    room = EngineRoom()
    desk = Desk(room)
    run = desk.start(pocket, Choice(pace=0.0))
    assert run.playing
    assert room.runs == [run]
    desk.close()
    until(lambda: not run.alive)
    assert room.runs == []


def test_the_room_is_limited_and_a_place_comes_free(pocket, until) -> None:
    room = EngineRoom(limit=2)
    desks = [Desk(room) for _ in range(3)]
    for desk in desks[:2]:
        desk.start(pocket, Choice())
    desks[0].start(pocket, Choice(seed=1))  # a desk that has a place keeps it
    with pytest.raises(TooManyEngines, match="all 2 live engines"):
        desks[2].start(pocket, Choice())
    desks[0].reset()
    run = desks[2].start(pocket, Choice())
    assert run.alive
    for desk in desks:
        desk.close()
    until(lambda: not run.alive)


def test_what_cannot_be_built_leaves_the_run_before_alone(pocket) -> None:
    room = EngineRoom(limit=1)
    desk = Desk(room)
    with pytest.raises(ConfigError, match="num_blocks"):
        desk.start(pocket, Choice(num_blocks=0))
    other = Desk(room)  # the place was given back
    run = other.start(pocket, Choice())
    with pytest.raises(ConfigError, match="block_size"):
        other.start(pocket, Choice(block_size=0))
    assert run.alive
    assert other.run is run
    other.close()


def test_a_tab_closed_while_its_engine_is_built_leaves_none(pocket, monkeypatch, until) -> None:
    room = EngineRoom()
    desk = Desk(room)
    build = engines._build

    def slowly(loaded, choice):
        run = build(loaded, choice)
        desk.close()
        return run

    monkeypatch.setattr(engines, "_build", slowly)
    run = desk.start(pocket, Choice())
    until(lambda: not run.alive)
    assert room.runs == []
    assert not any(t is run._thread for t in threading.enumerate())


def test_two_desks_do_not_disturb_each_other(pocket, until) -> None:
    """The same scene in two sessions at once writes the same tokens as alone."""
    room = EngineRoom()
    choice = Choice(scene="static", scheduler="orca", pace=0.0)
    desks = [Desk(room) for _ in range(3)]
    alone = desks[0].start(pocket, choice)
    until(lambda: alone.idle)
    runs = [desk.start(pocket, choice) for desk in desks[1:]]
    until(lambda: all(run.idle for run in runs), 60)
    texts = [[r.text for r in run.recorder.trace.requests] for run in (alone, *runs)]
    assert texts[0] == texts[1] == texts[2]
    for desk in desks:
        desk.close()


def test_those_who_wait_come_in_turn_and_those_who_left_lose_theirs() -> None:
    now = [0.0]
    room = EngineRoom(limit=1, clock=lambda: now[0])
    first, second, third, fourth = (Desk(room) for _ in range(4))
    room.enter(first)
    assert [desk.wait() for desk in (second, third, fourth)] == [1, 2, 3]
    assert second.wait() == 1
    third.wait_no_more()
    assert fourth.wait() == 2
    room.leave(first)
    with pytest.raises(TooManyEngines):
        room.enter(fourth)
    assert second.wait() == 0
    assert fourth.wait() == 2
    now[0] = PATIENCE + 1  # the second never came back
    assert fourth.wait() == 0
    room.enter(fourth)
    assert second.wait() == 1
