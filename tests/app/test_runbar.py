"""The line below a live run."""

from __future__ import annotations

from typing import Any

import pytest
from backstage.choice import Choice
from backstage.engines import Desk, EngineRoom
from backstage.runbar import RECENT, line, rate
from backstage.shown import Shown, from_bundle, live
from backstage.usage import LOOKS, Usage

from minillm.trace.trace import Trace


def test_the_rate_is_of_the_last_steps_in_engine_time() -> None:
    shown = from_bundle("memory-vllm")
    last = shown.trace.steps[-RECENT:]
    tokens = sum(len(new) for step in last for new in step.tokens.values())
    seconds = (last[-1].start + last[-1].duration - last[0].start) / 1e9
    assert tokens > 0
    assert rate(shown) == pytest.approx(tokens / seconds, rel=0.01)
    assert rate(Shown(Trace(shown.trace.header), "nothing")) == 0.0


def test_a_run_counts_its_threads_cpu_time(pocket: Any, until: Any) -> None:
    desk = Desk(EngineRoom())
    run = desk.start(pocket, Choice(scene="static", pace=0.0))
    until(lambda: len(run.recorder.trace.steps) > 5)
    first = run.cpu_seconds
    until(lambda: len(run.recorder.trace.steps) > 20)
    assert 0 < first < run.cpu_seconds
    desk.close()


def test_shares_are_of_one_core_over_the_last_looks() -> None:
    now, thread = [100.0], [5.0]
    usage = Usage(lambda: now[0], lambda: thread[0])
    assert usage.shares(2.0) is None, "no time has passed"
    now[0], thread[0] = 102.0, 5.02
    assert usage.shares(3.0) == pytest.approx((0.5, 0.01))
    for _ in range(LOOKS):
        now[0] += 1.0
        usage.shares(3.0)
    assert usage.shares(3.0) == (0.0, 0.0), "nothing more was done"


def test_the_line_says_where_it_runs_and_what_it_costs(
    pocket: Any, until: Any, monkeypatch: Any
) -> None:
    desk = Desk(EngineRoom())
    run = desk.start(pocket, Choice(scene="static", pace=0.0))
    shown = live(run)
    until(lambda: len(run.recorder.trace.steps) > 10)
    monkeypatch.setattr(shown.usage, "shares", lambda engine_seconds: (0.5, 0.012))
    parts = line(shown, "en").split(" · ")
    assert parts[:2] == ["Device cpu", "model pocket, float32"]
    assert parts[2].endswith(" tokens/s")
    assert parts[3] == "of one CPU core: engine 50.0 %, this view 1.2 %"
    assert "本视图 1.2 %" in line(shown, "zh")
    desk.close()
