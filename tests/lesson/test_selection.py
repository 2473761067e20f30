"""A chosen batch in the engine: it is what Orca computes, and whoever waits is told why."""

from __future__ import annotations

import math
from typing import Any

import pytest
from wrong_selects import RIGHT, function

from minillm import Trace, simulate
from minillm.events import WaitReason
from minillm.lesson.selection import Selecting
from minillm.workload import synthetic
from minillm.workload.lengths import Uniform


def run(scheduler: Any, **settings: Any) -> Trace:
    workload = synthetic(30, Uniform((1, 60), (1, 40)), rate=math.inf, max_tokens=40, seed=1)
    return simulate(workload, scheduler=scheduler, max_model_len=128, **settings)


@pytest.mark.parametrize(
    "limit",
    [{"max_num_seqs": 3}, {"max_num_batched_tokens": 64}, {"num_blocks": 12}, {"block_size": 1}],
    ids=str,
)
def test_it_computes_and_explains_what_orca_does(limit: dict[str, Any]) -> None:
    settings = {"max_num_seqs": 16, "num_blocks": 400, **limit}
    mine, orca = (run(each, **settings) for each in (Selecting(function(RIGHT[0])), "orca"))
    assert [step.prefills for step in mine.steps] == [step.prefills for step in orca.steps]
    assert [step.events for step in mine.steps] == [step.events for step in orca.steps]
    assert reasons(mine) == reasons(orca)


def reasons(trace: Trace) -> list[list[tuple[str, WaitReason]]]:
    """Who waits in each step, and for what; a step without waits of its own has the last ones."""
    each: list[list[tuple[str, WaitReason]]] = [[]]
    for step in trace.steps:
        if step.waits is None:
            each.append(each[-1])
        else:
            each.append([(wait.who, wait.reason) for wait in step.waits])
    return each
