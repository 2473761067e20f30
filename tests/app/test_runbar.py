"""The line below a live run."""

from __future__ import annotations

from typing import Any

import pytest
from backstage.choice import Choice
from backstage.engines import Desk, EngineRoom
from backstage.runbar import RECENT, rate
from backstage.shown import Shown, from_bundle, live

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
    shown = live(run)
    assert shown.view_seconds == 0.0
    until(lambda: len(run.recorder.trace.steps) > 5)
    first = run.cpu_seconds
    until(lambda: len(run.recorder.trace.steps) > 20)
    assert 0 < first < run.cpu_seconds
    desk.close()


def test_the_line_is_there_while_a_run_is_live(page: Any, until: Any) -> None:
    at = page(scene="static", pace="full")
    assert not _line(at)
    at.button(key="run").click().run()
    run = at.session_state["session"].shown.run
    until(lambda: len(run.recorder.trace.steps) > 10)
    at.run()
    line = _line(at)
    assert "Device cpu" in line
    assert "model pocket" in line
    assert "tokens/s" in line
    assert "this view costs" in line
    run.close()


def _line(at: Any) -> str:
    return "".join(m.value for m in at.markdown if m.value.startswith("Device"))
