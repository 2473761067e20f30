"""The Compare page: the same requests in two to four ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from backstage import way
from backstage.choice import Choice
from backstage.contest import headline, table
from backstage.engines import Desk, EngineRoom, TooManyEngines
from backstage.runs import Runs, choice_of
from backstage.way import REAL, Way
from hypothesis import given
from hypothesis import strategies as st

from minillm.kv_cache.memories import MEMORIES
from minillm.scheduling.systems import SYSTEMS
from minillm.trace.compare import Comparison
from minillm.workload.scenes import SCENES
from minillm.workload.spec import RequestSpec

sizes = st.none() | st.integers(1, 4096)
ways = st.builds(
    Way,
    scheduler=st.sampled_from(list(SYSTEMS)),
    memory=st.sampled_from(list(MEMORIES)),
    device=st.sampled_from(way.DEVICES),
    block_size=sizes,
    budget=sizes,
)


@given(st.lists(ways, min_size=2, max_size=4).map(tuple))
def test_a_link_brings_back_the_ways(chosen: tuple[Way, ...]) -> None:
    assert way.read("en", way.write(chosen)) == chosen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vllm:paged", "2 to 4 runs"),
        ("vllm,orca", "scheduler:memory:device"),
        ("vllm:paged,srathi:paged", "Did you mean sarathi?"),
        ("vllm:paged,vllm:paged:moon", "Known: recorded, real"),
        ("vllm:paged,vllm:paged:cpu:x", "whole number"),
    ],
)
def test_a_wrong_way_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        way.read("en", text)


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_is_compared_at_once_as_recorded_and_simulated(scene: str) -> None:
    runs, choice = Runs(), Choice(scene=scene)
    recorded = [runs.get(choice, Way(*each)) for each in SCENES[scene].ways]
    simulated = [runs.get(choice, Way(*each, "cpu")) for each in SCENES[scene].ways]
    compared = Comparison([run for run in (*recorded, *simulated) if run], "ABCD")
    assert len(compared.traces) == 4
    assert compared.requests
    assert headline(compared).count("**") == 4


def test_blocks_of_another_size_leave_as_many_slots() -> None:
    settings = choice_of(Choice(scene="memory"), Way("vllm", "paged", "cpu", 4)).engine_settings()
    assert (settings["block_size"], settings["num_blocks"]) == (4, 48 * 16 // 4)


def test_a_real_run_is_made_once_and_kept(pocket: Any) -> None:
    runs, choice, real = Runs(), Choice(scene="shared-prompt", seed=4), Way("vllm", "paged", REAL)
    assert runs.get(choice, real) is None
    assert runs.get(choice, Way("vllm", "paged", "cpu")) is None, "nobody knows the lengths yet"
    heard: list[float] = []
    runs.make(pocket, choice, real, heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    run = runs.get(choice, real)
    assert run is not None
    assert all(r.completed for r in run.requests)
    simulated = runs.get(choice, Way("sarathi", "paged", "cpu"))
    assert simulated is not None
    assert Comparison([run, simulated]).requests


def test_requests_that_were_drawn_are_compared(pocket: Any) -> None:
    drawn = (RequestSpec(prompt_len=30, output_len=5), RequestSpec(prompt_len=60, output_len=3))
    runs, choice = Runs(), Choice(scene="memory", requests=drawn)
    assert runs.get(choice, Way("vllm", "paged")) is None, "nobody has recorded them"
    simulated = runs.get(choice, Way("vllm", "paged", "cpu"))
    runs.make(pocket, choice, Way("vllm", "paged", REAL), lambda share: None)
    real = runs.get(choice, Way("vllm", "paged", REAL))
    assert simulated is not None
    assert real is not None
    lengths = [(r.prompt_len, r.output_len) for r in simulated.requests]
    assert lengths == [(30, 5), (60, 3)]
    assert len(real.requests) == 2
    assert runs.get(Choice(scene="memory"), Way("vllm", "paged", REAL)) is None


def test_a_real_run_takes_a_place_in_the_engine_room(pocket: Any) -> None:
    room = EngineRoom(limit=1)
    one, other = Desk(room), Desk(room)
    run = one.start(pocket, Choice())
    with pytest.raises(TooManyEngines), other.alone():
        pass
    with one.alone():
        assert one.run is None
        with pytest.raises(TooManyEngines):
            other.start(pocket, Choice())
    run.close()
    with other.alone():
        pass


def test_the_table_marks_the_winner_of_each_row() -> None:
    runs, choice = Runs(), Choice(scene="static")
    traces = [runs.get(choice, Way(*each)) for each in SCENES["static"].ways]
    compared = Comparison([trace for trace in traces if trace], ["A static", "B orca"])
    lines = table(compared).splitlines()
    assert lines[0] == "| Metric | A static | B orca |"
    for line, row in zip(lines[2:], compared.table(), strict=True):
        assert [i for i, cell in enumerate(line.split("|")[2:-1]) if "✓" in cell] == list(
            row.winners
        )


def test_the_page_compares_what_the_link_says(page: Any) -> None:
    text = "vllm:contiguous-max,vllm:paged,vllm:token:cpu"
    at = page("compare", scene="three-memories", ways=text, axis="step")
    data = next(
        data
        for data in (json.loads(e.proto.json) for e in at.get("bidi_component"))
        if "names" in data.get("options", {})
    )
    options = data["options"]
    assert options["names"] == ["A vllm", "B vllm", "C vllm"]
    assert options["axis"] == "step"
    assert len(options["differences"]) > 3
    assert at.query_params["ways"] == text
    assert len(at.get("vega_lite_chart")) == 1
    lacking = page("compare", ways="vllm:paged,sarathi:paged:real")
    assert "B has not run yet" in lacking.warning[0].value
    assert not lacking.get("vega_lite_chart")


def test_a_moment_of_the_comparison_stays_on_its_page(page: Any) -> None:
    at = page("live", scene="memory", step="40")
    at.switch_page("memory.py").run()
    assert at.query_params["step"] == "40"
    at.switch_page("compare.py").run()
    assert "step" not in at.query_params
    at.session_state["session"].look_at(7, None)
    at.run()
    assert at.query_params["step"] == "7"
    at.switch_page("live.py").run()
    assert "step" not in at.query_params


def test_another_seed_is_run_here_since_only_seed_0_was_recorded(page: Any) -> None:
    at = page("compare", scene="shared-prompt")
    session = at.session_state["session"]
    at.number_input(key=session.key("seed")).set_value(4).run()
    assert at.query_params["seed"] == "4"
    assert [each.value[0] for each in at.warning] == ["A", "B"]
    at.button(key="runs").click().run()
    assert not at.exception
    assert not at.warning
    assert session.runs.get(Choice(scene="shared-prompt", seed=4), Way("vllm", "paged", REAL))
