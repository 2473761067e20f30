"""The Perfetto export: valid, in lanes that never overlap, nothing lost."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path

from hypothesis import given, settings
from recorded_runs import record, runs

from minillm.trace import Recorder
from minillm.trace.perfetto import spans, to_perfetto


@settings(max_examples=40)
@given(runs)
def test_lanes_and_steps_do_not_overlap(recorder: Recorder) -> None:
    trace = recorder.trace
    rows = defaultdict(list)
    for event in json.loads(to_perfetto(trace))["traceEvents"]:
        if event["ph"] == "X":
            start, length = round(event["ts"] * 1000), round(event["dur"] * 1000)
            assert length > 0
            rows[event["pid"], event["tid"]].append((start, start + length))
    for row in rows.values():
        row.sort()
        for (_, end), (start, _) in itertools.pairwise(row):
            assert start >= end


@settings(max_examples=25)
@given(runs)
def test_slices_cover_each_request_from_arrival_to_end(recorder: Recorder) -> None:
    trace = recorder.trace
    served = [r for r in trace.requests if r.rejected is None]
    found = spans(trace)
    assert [span.id for span in found] == [r.id for r in served]
    for span, request in zip(found, served, strict=True):
        begin = request.arrival if request.parent is None else request.first_token_at
        if begin == request.finished_at:  # a fork that ended with its first token
            assert span.slices == []
            continue
        assert span.slices[0][1] == begin
        assert span.slices[-1][2] == request.finished_at
        for (_, _, end), (_, start, _) in zip(span.slices, span.slices[1:], strict=False):
            assert start == end
        kinds = [kind for kind, _, _ in span.slices]
        if request.parent is not None:  # one that found no room and then did at once shows none
            assert kinds.count("preempted") in (request.preemptions, request.preemptions - 1)
            continue
        assert kinds.count("preempted") == request.preemptions
        if request.admitted_at != request.arrival:
            assert span.slices[0] == ("queue", request.arrival, request.admitted_at)


def test_every_fork_has_a_lane_of_its_own() -> None:
    trace = record("sarathi", seed=2, requests=4, num_blocks=60, fork=1.0).trace
    forks = [request for request in trace.requests if request.parent is not None]
    assert len(forks) > 4
    slices = json.loads(to_perfetto(trace))["traceEvents"]
    for fork in forks:
        assert fork.finished_at is not None
        assert fork.first_token_at is not None
        mine = [e for e in slices if e["ph"] == "X" and e["name"].endswith(f" {fork.id}")]
        lasted = sum(round(event["dur"] * 1000) for event in mine)
        assert lasted == fork.finished_at - fork.first_token_at


def test_what_perfetto_is_told(tmp_path: Path) -> None:
    trace = record("static", seed=1, num_blocks=60).trace
    trace.to_perfetto(tmp_path / "run.json")
    events = json.loads((tmp_path / "run.json").read_bytes())["traceEvents"]
    steps = [e for e in events if e["ph"] == "X" and e["name"].startswith("step ")]
    assert len(steps) == len(trace)
    assert steps[0]["args"]["batch"][0][2] == "prefill"
    assert {e["name"] for e in events if e["ph"] == "C"} == {
        "running", "waiting", "KV blocks used",
    }  # fmt: skip
    assert any(e["name"].startswith("held ") for e in events)
