"""`minillm bench overhead`: what it measures, in small."""

from __future__ import annotations

import pytest

from minillm.bench.overhead.bench import Overhead
from minillm.bench.overhead.recording import Recording, measure_recording
from minillm.bench.overhead.step_cost import StepCost, decode_step_seconds, measure_step
from minillm.charts.overhead import overhead_chart
from minillm.execution.loader import load_model

RECORDING = Recording([0.01, 0.05, 0.02], [0.1, 0.0, -0.1], [1e-6, 3e-6, 2e-6])


def test_a_pair_is_a_recorded_and_an_unrecorded_run():
    told = []
    found = measure_recording(load_model("pocket", device="cpu"), 1, lambda: told.append(1))
    assert len(found.shares) == len(found.pairs) == len(told) == 1
    assert 0 < found.share < 1
    assert found.seconds_per_step[0] > 0


def test_a_step_is_more_than_its_parts():
    cost = measure_step(running=5, steps=7, context=40)
    assert cost.running == 5
    assert 0 < cost.judged < cost.whole


def test_the_decode_step_is_that_of_the_memory():
    """Weights of 0.6 billion parameters at least, and 112 KiB of keys and values per token."""
    kv = 28 * 2 * 8 * 128 * 2
    least = (0.596e9 * 2 + 256 * 843 * kv) / 4.8e12
    assert least < decode_step_seconds(256) < 1.15 * least


@pytest.mark.parametrize(("largest", "growth"), [(4e-4, 1.0), (8e-4, 2.0)])
def test_goals_are_judged_at_256_running(largest: float, growth: float):
    steps = [StepCost(64, 1e-5, 2e-5, 1e-4), StepCost(256, 4e-5, 6e-5, 1e-3)]
    found = Overhead({"device": "x"}, RECORDING, [*steps, StepCost(1024, 0.0, largest, 2e-3)])
    assert found.recording.share == 0.02
    assert found.share == pytest.approx(1e-4 / decode_step_seconds(256))
    assert found.growth == pytest.approx(growth)
    told = found.plain()
    assert [goal["met"] for goal in told["goals"]] == [True, True, growth <= 1.25]
    drawn = overhead_chart(told).to_dict()
    assert len(drawn["layer"]) == 2
