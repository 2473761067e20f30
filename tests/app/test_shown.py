"""What is on the stage."""

from __future__ import annotations

import io
import json
import threading

import pytest
from backstage import shown as module
from backstage.choice import Choice
from backstage.engines import Desk, EngineRoom
from backstage.shown import from_bundle, from_file, live

from minillm.recordings import bundled, names
from minillm.trace.fold import TraceError
from minillm.workload.driver import WorkloadDriver
from minillm.workload.scenes import SCENES


def test_every_scene_comes_recorded_with_its_problem_and_its_answer() -> None:
    for scene in SCENES.values():
        for way in scene.ways:
            assert scene.recording(*way) in names()
    with pytest.raises(FileNotFoundError, match="long-prompt-vllm"):
        bundled("../../etc/passwd")
    assert sum(bundled(name).stat().st_size for name in names()) < 1_500_000


def test_the_first_frame_makes_the_point() -> None:
    """Six answers stand still behind the long prompt."""
    shown = from_bundle("long-prompt-vllm")
    assert shown.start == shown.trace.point
    assert shown.start is not None
    state = shown.trace.state_at(shown.start)
    waits = state.waits_by_sequence()
    assert len(waits) >= 6
    tokens = sum(n for _, n, kind in state.batch if kind == "prefill")
    assert tokens > 1500


def test_records_are_the_lines_of_the_file() -> None:
    shown = from_bundle("memory-vllm")
    assert shown.header["scene"] == "memory"
    records = [json.loads(line) for line in shown.records]
    assert [r["n"] for r in records if "n" in r] == list(range(len(shown.trace)))
    assert not any("keyframe" in r for r in records)
    assert records[-1]["closing"] == "complete"
    assert not shown.grows


def test_a_stretch_begins_with_the_state_before_it() -> None:
    """That keyframe alone is among the records."""
    shown = module.Shown(from_bundle("memory-vllm").trace.trim(40, 80), "cut")
    first, *others = [json.loads(line) for line in shown.records]
    assert first["keyframe"] == -1
    assert len(others) >= 41
    assert not any("keyframe" in r for r in others)


def test_a_live_run_is_looked_at_until_nothing_more_comes(pocket, until) -> None:
    desk = Desk(EngineRoom())
    run = desk.start(pocket, Choice(pace=0.0, seed=2))
    shown = live(run)
    assert shown.grows
    until(lambda: run.idle)
    shown.catch_up()
    assert len(shown.records) == len(run.recorder.trace.steps)
    for _ in range(module.STILL):
        assert shown.grows
        shown.catch_up()
    assert not shown.grows
    shown.expect_more()
    assert shown.grows
    desk.close()


def test_the_step_in_progress_is_waited_for(pocket, until, monkeypatch) -> None:
    """However long it takes: a pause lets it end."""
    desk, gate = Desk(EngineRoom()), threading.Semaphore(0)
    make_step = WorkloadDriver.step
    monkeypatch.setattr(WorkloadDriver, "step", lambda self: (gate.acquire(), make_step(self)))
    run = desk.start(pocket, Choice(pace=0.0))
    shown = live(run)
    until(lambda: run.stepping)
    run.pause()
    shown.expect_more()
    for _ in range(3 * module.STILL):
        shown.catch_up()
    assert shown.grows
    assert not shown.records
    gate.release()
    until(lambda: not run.stepping)
    assert shown.grows
    shown.catch_up()
    assert len(shown.records) == 1
    run.step()
    assert run.stepping, "it has been asked for"
    desk.close()
    gate.release()


def test_a_file_of_another_kind_is_refused_with_line_and_reason() -> None:
    with pytest.raises(TraceError, match=r"x\.jsonl is not a minillm trace: its first line"):
        from_file(io.BytesIO(b"a,b\n1,2\n"), "x.jsonl")
    lines = bundled("long-prompt-vllm").read_text().splitlines()
    broken = "\n".join([*lines[:5], "{broken", *lines[6:]]) + "\n"
    with pytest.raises(TraceError, match=r"x\.jsonl line 6"):
        from_file(io.BytesIO(broken.encode()), "x.jsonl")
