"""The kernel benchmark: it counts right, times only what is right, and judges what was measured."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minillm.bench.kernels import bench as bench_module
from minillm.bench.kernels import bench_kernels, contenders, num_rows
from minillm.bench.kernels.cases import CPU_CASES, GPU_CASES, Case, decode, prefill
from minillm.bench.kernels.contenders import CONTENDERS, Run
from minillm.bench.kernels.goals import GOALS, judge
from minillm.bench.kernels.measure import Row, measure
from minillm.bench.kernels.reference import error
from minillm.bench.kernels.run import Unavailable
from minillm.config import ConfigError
from minillm.kernels.fp8 import to_fp8
from minillm.kernels.layouts import LAYOUTS
from minillm.kernels.synthetic import Heads

CPU = torch.device("cpu")
HEADS = Heads(num_heads=4, num_kv_heads=2, head_dim=16)
FP32 = torch.float32
TORCH = tuple(f"minillm torch {layout}" for layout in LAYOUTS)
DENSE = ("torch SDPA", "gather + SDPA")
DECODES = decode(3, 64, HEADS, ("minillm torch", *DENSE, *TORCH), dtype=FP32)


def rows_of(*cases: Case, deadline: float = float("inf")) -> list[Row]:
    return list(measure(cases, CPU, 1e9, deadline=deadline))


def test_bytes_and_operations_are_counted() -> None:
    assert DECODES.kv_bytes(FP32) == 2 * 3 * 64 * 2 * 16 * 4  # K and V, tokens, KV heads, sizes
    assert DECODES.flops == 4 * 3 * 64 * 4 * 16  # q·k and p·v, two operations each
    whole = prefill(2, 32, HEADS, ("minillm torch",))
    assert whole.flops == 4 * 4 * 16 * 2 * sum(range(1, 33))
    chunk = replace(whole, lengths=((8, 32),))
    assert chunk.flops == 4 * 4 * 16 * sum(range(25, 33))
    wrote = replace(whole, contenders=("write_kv torch",), lengths=((32, 32),))
    assert (wrote.kv_bytes(torch.bfloat16), wrote.flops) == (2 * 2 * 32 * 2 * 16 * 2, 0)
    assert [c.limit for c in (DECODES, whole, wrote)] == ["memory", "compute", "memory"]


@pytest.mark.parametrize(
    "case",
    [
        DECODES,
        replace(DECODES, block_size=1),
        prefill(2, 48, HEADS, ("minillm torch", *DENSE), dtype=FP32),
        Case("mixed", HEADS, ((1, 32), (7, 32), (16, 16)), ("minillm torch", *TORCH), FP32),
        Case("write", HEADS, ((64, 64),), ("write_kv torch",), FP32),
    ],
    ids=lambda case: f"{case.name} {case.block_size}",
)
def test_contenders_are_right_and_measured(case: Case) -> None:
    found = rows_of(case)
    assert [row.contender for row in found] == list(case.contenders)
    for row in found:
        assert row.status == "measured", row
        assert row.median_us is not None
        assert row.median_us > 0
        assert (row.of_copy is None) == (case.limit != "memory")
        assert (row.tflops is None) == (case.limit == "memory")
    assert found[0].times_first == 1


@pytest.mark.parametrize(
    "spoilt", [lambda out: out * 1.01, lambda out: out.index_fill(0, torch.tensor(1), torch.nan)]
)
def test_what_is_wrong_gets_no_figure(spoilt, monkeypatch: pytest.MonkeyPatch) -> None:
    right = CONTENDERS["minillm torch"]

    def wrong(batch) -> Run:
        run = right(batch)
        return Run(lambda: spoilt(run.call()))

    monkeypatch.setitem(CONTENDERS, "minillm torch", wrong)
    first, second = rows_of(replace(DECODES, contenders=("minillm torch", "torch SDPA")))
    assert (first.status, first.median_us) == ("wrong", None)
    assert (second.status, second.times_first) == ("measured", 1.0)  # nothing to compare with


def test_what_raises_or_does_not_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(_: object) -> Run:
        raise RuntimeError("no such kernel\nsecond line")

    def unavailable(_: object) -> Run:
        raise Unavailable("not installed")

    monkeypatch.setitem(CONTENDERS, "minillm torch", raises)
    monkeypatch.setitem(CONTENDERS, "torch SDPA", unavailable)
    first, second = rows_of(replace(DECODES, contenders=("minillm torch", "torch SDPA")))
    assert first.remark == "failed (RuntimeError: no such kernel)"
    assert second.remark == "not measured (not installed)"


def test_an_fp8_cache_counts_its_own_bytes_and_may_round() -> None:
    names = ("minillm torch", "minillm torch FP8")
    exact, rounded = rows_of(replace(DECODES, contenders=names))
    assert (exact.status, rounded.status) == ("measured", "measured")
    assert exact.error is not None
    assert rounded.error is not None
    assert exact.error < 1e-4 < 0.01 < rounded.error < 0.1
    bytes_read = [row.gb_per_s * row.median_us * 1e3 for row in (exact, rounded)]  # type: ignore[operator]
    assert bytes_read == pytest.approx([DECODES.kv_bytes(FP32), DECODES.kv_bytes(FP32) / 4])


def test_a_cache_that_another_scale_wrote_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = CONTENDERS["minillm torch FP8"]

    def wrong(batch) -> Run:
        with monkeypatch.context() as patch:
            patch.setattr(contenders, "to_fp8", lambda x, scale: to_fp8(x, scale * 2))
            return right(batch)

    monkeypatch.setitem(CONTENDERS, "minillm torch FP8", wrong)
    (row,) = rows_of(replace(DECODES, contenders=("minillm torch FP8",)))
    assert row.status == "wrong"


def test_fp8_is_not_measured_where_it_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ConfigError("this GPU is too old")

    monkeypatch.setattr(contenders, "check_fp8", refuse)
    (row,) = rows_of(replace(DECODES, contenders=("minillm torch FP8",)))
    assert row.remark == "not measured (this GPU is too old)"


def test_sequences_of_different_lengths_have_no_dense_batch() -> None:
    (row,) = rows_of(replace(DECODES, lengths=((1, 64), (1, 32)), contenders=("torch SDPA",)))
    assert row.status == "not measured"
    assert "differ in length" in row.note


def test_nothing_is_begun_after_the_deadline() -> None:
    found = rows_of(DECODES, deadline=time.monotonic())
    assert [row.remark for row in found] == ["not measured (out of time)"] * len(found)


def test_errors_are_of_the_worst_row() -> None:
    wanted = torch.ones(3, 2, 4)
    got = wanted.clone()
    got[1, 1] *= 1.5
    assert error(got, wanted) == pytest.approx(0.5)
    assert error(got[:2], wanted) == float("inf")
    got[0, 0, 0] = torch.nan
    assert error(got, wanted) == float("inf")


def test_cases_name_contenders_that_exist_and_goals_cases_that_do() -> None:
    cases = {case.name: case for case in (*CPU_CASES, *GPU_CASES)}
    assert len(cases) == len(CPU_CASES) + len(GPU_CASES)
    for case in cases.values():
        assert set(case.contenders) <= CONTENDERS.keys()
        assert all(total % case.block_size == 0 for _, total in case.lengths)
    for goal in GOALS:
        assert {"minillm", goal.than or "minillm"} <= set(cases[goal.case].contenders)


def measured(case: str, contender: str, median_us: float, of_copy: float | None = None) -> Row:
    return Row(case, contender, "measured", median_us=median_us, of_copy=of_copy)


def test_goals_are_judged_by_what_was_measured_beside_them() -> None:
    found = judge(
        [
            measured("decode 64 × 4k", "minillm", 100, of_copy=0.9),
            measured("decode 64 × 4k", "torch SDPA", 90),
            measured("decode 64 × 4k", "gather + SDPA", 300),
            measured("decode 1 × 64k", "minillm", 100, of_copy=0.8),
            measured("prefill 8 × 4k", "minillm", 100),
            measured("prefill 8 × 4k", "torch SDPA", 81),
        ]
    )
    words = {str(verdict.goal): (verdict.reached, verdict.word) for verdict in found}
    assert words["decode 64 × 4k: ≥ 85% of the copy bandwidth"] == (0.9, "met")
    assert words["decode 1 × 64k: ≥ 85% of the copy bandwidth"] == (0.8, "missed")
    assert words["prefill 8 × 4k: ≥ 80% of the speed of torch SDPA"] == (0.81, "met")
    assert words["decode 64 × 4k: ≥ 100% of the speed of torch SDPA"] == (0.9, "missed")
    assert words["decode 64 × 4k: ≥ 100% of the speed of gather + SDPA"] == (3.0, "met")
    assert words["decode 64 × 4k: ≥ 100% of the speed of FlashInfer"] == (None, "not measured")


def test_a_cpu_measures_its_own_batches_and_lists_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench_module, "CPU_CASES", (DECODES,))
    monkeypatch.setattr(bench_module, "copy_bandwidth", lambda _: 5e9)
    seen: list[Row] = []
    result = bench_kernels(CPU, on_row=seen.append)
    assert seen == result.rows
    assert len(seen) == num_rows(CPU)
    own, others = seen[: len(DECODES.contenders)], seen[len(DECODES.contenders) :]
    assert {row.status for row in own} == {"measured"}
    assert {row.remark for row in others} == {"not measured (no CUDA device)"}
    assert {verdict.word for verdict in result.verdicts} == {"not measured"}
    result.save(tmp_path / "new" / "kernels.json")
    saved = json.loads((tmp_path / "new" / "kernels.json").read_text("utf-8"))
    assert saved["machine"]["torch"] == torch.__version__
    assert saved["copy_gb_per_s"] == 5
    assert len(saved["rows"]) == len(seen)
    assert saved["rows"][0]["contender"] == "minillm torch"
    with pytest.raises(ConfigError, match="cannot write"):
        result.save(tmp_path / "new" / "kernels.json" / "below")


def test_triton_kernels_are_refused_where_triton_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda _: None)
    (row,) = rows_of(replace(DECODES, contenders=("simple_attention",)))
    assert row.remark == "not measured (triton is not installed)"
