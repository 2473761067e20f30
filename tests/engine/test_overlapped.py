"""Scheduling a step ahead: the same answers, true records, and nothing lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import EOS, CheckingExecutor, expected_output, fake_engine
from hypothesis import settings

import test_engine_invariants as invariants
from minillm.engine import Engine
from minillm.events import Finished, Step
from minillm.overlapped import OverlappedEngine
from minillm.request import RequestOutput, SamplingParams
from minillm.trace.digest import Digest
from minillm.trace.fold import apply
from minillm.trace.records import Header


class OverlappedMachine(invariants.EngineMachine):
    overlapped = True

    def check_step(self, step: Step, before: dict[str, int]) -> None:
        """The engine's own state is a step ahead of the record, unless nothing is in flight."""
        assert isinstance(self.engine, OverlappedEngine)
        if self.engine.in_flight:
            self.state = apply(self.state, step)
            if step.waits is not None:
                self.waits_in_force = step.waits
            assert len(self.state.batch) <= self.engine.config.max_num_seqs
        else:
            super().check_step(step, before)

    def check_everyone_is_accounted_for(self, step: Step, before: dict[str, int]) -> None:
        """Its waits are those of the decision, and the queues may have moved on since."""


@pytest.mark.parametrize("policy", invariants.POLICIES)
def test_overlapped_invariants(policy: str) -> None:
    machine = type(f"Overlapped_{policy}", (OverlappedMachine,), {"policy": policy})
    machine.TestCase.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
    machine.TestCase("runTest").runTest()


@pytest.mark.full
@pytest.mark.parametrize("policy", invariants.POLICIES)
def test_overlapped_invariants_at_length(policy: str) -> None:
    machine = type(f"LongOverlapped_{policy}", (OverlappedMachine,), {"policy": policy})
    machine.TestCase.settings = settings(max_examples=400, stateful_step_count=80, deadline=None)
    machine.TestCase("runTest").runTest()
