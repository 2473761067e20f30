"""Requests that a visitor drew: their prompts, what they will take, and the link to them."""

from __future__ import annotations

from typing import Any

import pytest
from backstage.choice import Choice, from_query, in_scene, to_query
from backstage.engines import Desk, EngineRoom
from backstage.estimate import estimate
from backstage.made_up import with_prompts

from minillm.chat import encode_prompt
from minillm.config import ConfigError
from minillm.workload.saved import MOST_TOKENS, checked, to_link
from minillm.workload.spec import RequestSpec

ROWS = [
    {"arrival": 0.0, "prompt_len": 3, "output_len": 5, "client": "a"},
    {"arrival": 0.01, "prompt_len": 40, "output_len": 9, "priority": 2},
    {"arrival": 0.5, "prompt_len": 300, "output_len": 7},
]


def test_prompts_have_the_length_that_was_drawn(pocket: Any) -> None:
    requests = checked(ROWS)
    written = with_prompts(requests, pocket.tokenizer, seed=3)
    for spec, made in zip(requests, written, strict=True):
        tokens = encode_prompt(made.prompt or "", pocket.tokenizer, template_optional=True)[1]
        assert len(tokens) == spec.prompt_len
        assert (made.max_tokens, made.sampling.ignore_eos) == (spec.output_len, True)
        assert (made.arrival_time, made.client, made.priority) == (
            spec.arrival_time,
            spec.client,
            spec.priority,
        )
    assert with_prompts(requests, pocket.tokenizer, seed=3) == written
    assert with_prompts(requests, None, seed=3) == list(requests)


def test_they_run_as_drawn(pocket: Any, until: Any) -> None:
    desk = Desk(EngineRoom())
    run = desk.start(pocket, Choice(pace=0.0, requests=checked(ROWS), title="Mine"))
    trace = run.recorder.trace
    until(lambda: [r.output_len for r in trace.requests] == [5, 9, 7])
    assert trace.header.title == "Mine"
    assert [(r.prompt_len, r.output_len, r.client, r.priority) for r in trace.requests] == [
        (3, 5, "a", 0),
        (40, 9, None, 2),
        (300, 7, None, 0),
    ]
    desk.close()


def test_the_estimate_counts_steps_and_names_who_does_not_fit() -> None:
    choice = Choice(requests=checked(ROWS), pace=2.0)
    found = estimate(choice)
    assert found.steps >= 9
    assert found.seconds == pytest.approx(found.steps / 2)
    assert found.refused == ()
    long = checked([*ROWS, {"arrival": 1.0, "prompt_len": 2000, "output_len": 100}])
    (message,) = estimate(Choice(requests=long)).refused
    assert "1,662 (max_num_batched_tokens)" in message
    with pytest.raises(ConfigError):
        estimate(Choice(requests=long, num_blocks=0))


def test_a_link_holds_them() -> None:
    choice = Choice(scene="memory", requests=checked(ROWS), title="我的")
    assert from_query(to_query(choice)) == (
        Choice(scene="memory", requests=checked(ROWS), title="我的"),
        [],
    )
    damaged = to_link(checked(ROWS))[:-3]
    found, problems = from_query({"scene": "memory", "requests": damaged})
    assert found == in_scene("memory")
    assert len(problems) == 1
    assert "the link is damaged" in problems[0]
    _, problems = from_query({"title": "x" * 61}, "zh")
    assert "标题" in problems[0]


def test_what_no_link_can_hold_is_left_out_of_it() -> None:
    names = [f"{i * 7919 % 10_000_019:024d}" for i in range(200)]
    many = tuple(
        RequestSpec(
            arrival_time=(i * 7907 % 3_600_000) / 1000,
            prompt_len=1 + i * 65_537 % MOST_TOKENS,
            output_len=1 + i * 31_337 % MOST_TOKENS,
            client=name[::-1],
            priority=i,
        )
        for i, name in enumerate(names)
    )
    query = to_query(Choice(requests=many))
    assert len(query.get("requests", "")) <= 6000
