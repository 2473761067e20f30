"""The stage's fold against the reference fold: the same state after every step of a recording."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import synthetic_traces

from minillm.trace import Trace

HERE = Path(__file__).parent
RECORDINGS = sorted((HERE.parents[1] / "minillm" / "recordings").glob("*.jsonl"))
MADE_UP = ("one_long", "memory_runs_out", "shared_prefix", "static_batch", "hostile")


def _as_told(trace: Trace, n: int) -> dict[str, Any]:
    state = trace.state_at(n)
    return {
        "sequences": [
            [s.id, s.phase, s.computed, s.target, s.outputs, s.blocks, s.text]
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
