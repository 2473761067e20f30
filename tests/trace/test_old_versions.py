"""Files of older formats: written by minillm as it was then, never written again.

A new format version gets a file of its own here, frozen before the version after it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from minillm.events import Copied, Forked, Preempted, SwappedIn, SwappedOut
from minillm.trace import Trace
from minillm.trace.records import FORMAT_VERSION

FILES = Path(__file__).parent / "files"
OLD = sorted(FILES.glob("version-*.jsonl"))


def told(trace: Trace) -> dict[str, Any]:
    """What was known of the run when its file was frozen."""
    return {
        "requests": [
            [r.id, r.arrival, r.prompt_len, r.admitted_at, r.first_token_at, r.finished_at,
             r.output_len, r.preemptions, r.finish_reason]
            for r in trace.requests
        ],
        "culprits": {id: trace.blame().of(id) for id in trace.blame().requests},
        "middle": msgspec.to_builtins(trace.state_at(len(trace.steps) // 2).keyframe()),
        "slots": trace.memory().shares(),
        "throughput": trace.metrics()["output_throughput"],
    }  # fmt: skip


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_an_old_file_opens_and_means_what_it_meant(path: Path) -> None:
    trace = Trace.load(path)
    assert trace.header.minillm_trace == int(path.stem.removeprefix("version-"))
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(told(trace))) == expected


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_an_old_file_is_saved_as_it_was(path: Path, tmp_path: Path) -> None:
    """What needs nothing new stays byte for byte; a note makes it a newer one."""
    trace = Trace.load(path)
    trace.save(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()
    trace.with_note(1, "new").save(tmp_path / "again.jsonl")
    noted = Trace.load(tmp_path / "again.jsonl")
    assert noted.header.minillm_trace == FORMAT_VERSION
    assert noted.steps == trace.steps


def test_every_version_has_its_file() -> None:
    """All but the newest, which is still changing; the first has every kind of event."""
    assert [path.stem for path in OLD] == [f"version-{n}" for n in range(1, FORMAT_VERSION)]
    steps = Trace.load(OLD[0]).steps
    happened = {type(event) for step in steps for event in (*step.events, *step.after)}
    assert {Forked, Copied, SwappedOut, SwappedIn, Preempted} <= happened
