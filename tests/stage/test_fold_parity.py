"""The stage's fold against the reference fold: the same state after every step of a recording."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import synthetic_traces
from recorded_runs import (  # pyright: ignore[reportMissingImports]  # of tests/trace
    MEMORIES,
    SWAPS,
    record,
)

from minillm.trace import Trace

HERE = Path(__file__).parent
RECORDINGS = sorted((HERE.parents[1] / "minillm" / "recordings").glob("*.jsonl"))
MADE_UP = ("one_long", "memory_runs_out", "shared_prefix", "static_batch", "hostile")


def _as_told(trace: Trace, n: int) -> dict[str, Any]:
    state = trace.state_at(n)
    return {
        "sequences": [
            [
                s.id,
                s.phase,
                s.computed,
                s.target,
                s.outputs,
                s.blocks,
                s.text,
                s.cpu_blocks,
                s.preemptions,
                s.first_token_at,
                s.finished_at,
            ]
            for s in state.sequences.values()
        ],
        "batch": [[id, kind, tokens] for id, tokens, kind in state.batch],
        "cached": sorted(state.cached),
        "waits": [
            [id, wait.reason, sorted(wait.holders), wait.needs, wait.free]
            for id, wait in sorted(state.waits_by_sequence().items())
        ],
    }


def _compare(path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    told = subprocess.run(
        [node, str(HERE / "fold_in_node.mjs"), str(path)],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout.split("\n")  # fmt: skip
    trace = Trace.load(path)
    assert len(told) == len(trace) > 0
    for n, line in enumerate(told):
        assert json.loads(line) == _as_told(trace, n), f"after step {n}"


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_bundled_recordings(path: Path) -> None:
    _compare(path)


@pytest.mark.parametrize("name", MADE_UP)
def test_made_up_traces(name: str, tmp_path: Path) -> None:
    header, records = synthetic_traces.lines(getattr(synthetic_traces, name)())
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join([header, *records, ""]), encoding="utf-8")
    _compare(path)


@pytest.mark.parametrize("scheduler", ["vllm", "sarathi", "priority", "static"])
def test_runs_with_forks_and_swaps_in_every_memory(scheduler: str, tmp_path: Path) -> None:
    happened: set[str] = set()
    for number, memory in enumerate(MEMORIES):
        swap = SWAPS[1 + (number + len(scheduler)) % 3]
        trace = record(
            scheduler,
            seed=number,
            requests=14,
            num_blocks=13,
            fork=0.5,
            abort=0.02,
            **memory,
            **swap,
        ).trace
        trace.save(tmp_path / "trace.jsonl")
        _compare(tmp_path / "trace.jsonl")
        happened |= {type(e).__name__ for step in trace.steps for e in (*step.events, *step.after)}
    assert {"Forked", "Preempted"} <= happened
    assert scheduler == "static" or {"SwappedOut", "SwappedIn"} <= happened


@pytest.mark.parametrize("scheduler", ["vllm", "sarathi", "priority", "static"])
def test_runs_that_are_scheduled_a_step_ahead(scheduler: str, tmp_path: Path) -> None:
    trace = record(scheduler, requests=16, overlapped=True, abort=0.02, num_blocks=16).trace
    assert any(step.wasted for step in trace.steps)
    trace.save(tmp_path / "trace.jsonl")
    _compare(tmp_path / "trace.jsonl")


@pytest.mark.parametrize("memory", range(len(MEMORIES)))
def test_stretches_cut_out_of_runs_with_notes_on_them(memory: int, tmp_path: Path) -> None:
    whole = record(
        "vllm", seed=memory, requests=14, num_blocks=13, fork=0.5, **MEMORIES[memory], **SWAPS[2]
    ).trace
    count = len(whole.steps)
    cut = whole.with_note(count // 2, "look here").trim(count // 3, count - 2)
    assert cut.base is not None
    assert cut.base.sequences
    cut.save(tmp_path / "trace.jsonl")
    _compare(tmp_path / "trace.jsonl")
