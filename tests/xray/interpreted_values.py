"""The online softmax as the kernels hold it. `test_interpreted.py` runs this file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from watched import mutant, program, watched

from minillm.kernels.simple_attention import simple_attention
from minillm.kernels.triton_attention import paged_attention
from minillm.xray import Case, Program
from minillm.xray.inputs import inputs
from minillm.xray.observe import observe
from minillm.xray.reading import accesses

LENGTH = 40
CASE = Case(seq_lens=(LENGTH,), dtype="float32", num_heads=2, num_kv_heads=1)
TILED = Case(
    seq_lens=(LENGTH,), dtype="float32", num_heads=2, num_kv_heads=1, tile_rows=16, tile_keys=16
)
LOG2E = math.log2(math.e)


def scores() -> torch.Tensor:
    """Of the one query of head 0 with every key, in natural units."""
    given = {name: each.tensor for name, each in inputs(CASE).items()}
    k = given["k_cache"][torch.tensor(CASE.block_tables[0])].reshape(-1, CASE.head_dim)[:LENGTH]
    return k @ given["q"][0, 0] * CASE.head_dim**-0.5


def after_each_load(one: Program, name: str) -> list[float]:
    """Row 0 of variable `name` as it stands before each load of K but the first, and at last."""
    at = [n for n, access in enumerate(one.accesses) if access.tensor == "k_cache"]
    moments = [*at[1:], len(one.accesses)]
    changes = [value for value in one.values if value.name == name]
    return [[v.numbers[0] for v in changes if v.after <= moment][-1] for moment in moments]


KERNELS = [
    pytest.param(paged_attention, TILED, 16, LOG2E, id="fast, in base 2"),
    pytest.param(simple_attention, CASE, 4, 1.0, id="simple"),
]


@pytest.mark.parametrize(("kernel", "case", "step", "unit"), KERNELS)
def test_running_maximum_and_sum(kernel: Callable[..., Any], case: Case, step: int, unit: float):
    one = program(watched(case, kernel), 0, 0, 0)
    seen = [scores()[: min(end, LENGTH)] for end in range(step, LENGTH + step, step)]
    assert len(accesses(one, "k_cache")) == len(seen)
    highest, total = after_each_load(one, "highest"), after_each_load(one, "total")
    assert highest == pytest.approx([unit * float(s.max()) for s in seen], rel=1e-4)
    assert total == pytest.approx([float((s - s.max()).exp().sum()) for s in seen], rel=1e-4)


def test_they_begin_at_nothing():
    first: dict[str, float] = {}
    for value in program(watched(TILED), 0, 0, 0).values:
        first.setdefault(value.name, value.numbers[0])
    assert first == {"highest": -math.inf, "total": 0.0, "shrink": 0.0}


@pytest.mark.parametrize(("kernel", "case", "step", "unit"), KERNELS)
def test_by_what_sum_and_output_are_rescaled(
    kernel: Callable[..., Any], case: Case, step: int, unit: float
):
    one = program(watched(case, kernel), 0, 0, 0)
    highest, shrink = after_each_load(one, "highest"), after_each_load(one, "shrink")
    base = 2.0 if kernel is paged_attention else math.e
    rises = [before - after for before, after in itertools.pairwise(highest)]
    assert shrink == pytest.approx([0.0, *(base**rise for rise in rises)], rel=1e-4)
    assert min(shrink[1:]) < 1


def test_a_kernel_that_rescales_by_something_else_shows(tmp_path: Path):
    kernel = mutant(tmp_path, "shrink = tl.exp2(highest - base)", "shrink = tl.exp2(base - base)")
    assert after_each_load(program(watched(TILED, kernel), 0, 0, 0), "shrink") == [1.0, 1.0, 1.0]


def test_a_kernel_that_forgets_to_rescale_shows(tmp_path: Path):
    right = program(watched(TILED), 0, 0, 0)
    kernel = mutant(tmp_path, "total = total * shrink + ", "total = total + ")
    wrong = program(watched(TILED, kernel), 0, 0, 0)
    assert wrong.accesses == right.accesses
    assert after_each_load(wrong, "highest") == after_each_load(right, "highest")
    assert after_each_load(wrong, "total")[-1] > after_each_load(right, "total")[-1] * 1.01


def test_only_what_is_watched_is_recorded():
    """Also in the functions that the kernel calls."""
    assert not program(observe(TILED, paged_attention, "", ()), 0, 0, 0).values
    one = program(observe(TILED, paged_attention, "", ("shrink", "acc", "no_such")), 0, 0, 0)
    assert {value.name for value in one.values} == {"shrink"}  # acc has more than a row each
    assert len(one.values) == 3
