"""Sweeps: on several processes, resumable, and no cell takes others with it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from pyarrow import parquet

from minillm.bench import Cell, Failure, Sweep, SystemSettings, WorkloadSettings, write_parquet
from minillm.bench.processes import Failed, each_in_processes
from minillm.config import ConfigError

WORKLOAD = WorkloadSettings(num_prompts=5, random_input_len=32, random_output_len=4)


def cells(*schedulers: str, rates: tuple[float, ...] = (1.0, 4.0), **system: int) -> list[Cell]:
    return [
        Cell(
            scheduler=name,
            request_rate=rate,
            system=SystemSettings(**system),  # type: ignore[arg-type]
            workload=WORKLOAD,
            goodput={"ttft": 1000},
        )
        for name in schedulers
        for rate in rates
    ]


def test_rows_are_those_of_simulate_in_the_order_of_the_cells(tmp_path: Path) -> None:
    asked = cells("vllm", "sarathi", rates=(1.0, float("inf")))
    rows = Sweep(asked, tmp_path).run(processes=2)
    assert [(r["scheduler"], r["request_rate"]) for r in rows] == [
        *(("vllm", 1.0), ("vllm", "inf"), ("sarathi", 1.0), ("sarathi", "inf"))
    ]
    assert rows == [cell.run() for cell in asked]
    assert {row["completed"] for row in rows} == {5}
    assert {row["goodput_ttft_ms"] for row in rows} == {1000}
    assert len(list(tmp_path.iterdir())) == 4


def test_an_interrupted_sweep_computes_only_the_rest(tmp_path: Path) -> None:
    asked = cells("vllm", "orca")
    first: list[str] = []

    def stop(cell: Cell, outcome: object) -> None:
        first.append(cell.key)
        if len(first) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sweep(asked, tmp_path).run(processes=1, on_cell=stop)
    again: list[str] = []
    resumed = Sweep(asked, tmp_path)
    kept = {cell.key for cell in asked} - {cell.key for cell in resumed.missing}
    assert kept >= set(first)
    rows = resumed.run(processes=1, on_cell=lambda cell, _: again.append(cell.key))
    assert set(again) == {cell.key for cell in asked} - kept
    assert rows == [cell.run() for cell in asked]
    assert Sweep(asked, tmp_path).missing == []


def test_every_setting_is_part_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,5,1\n")
    read = WorkloadSettings(dataset_name="vidur", dataset_path=path)
    system = SystemSettings()

    def key(**changed: object) -> str:
        given = {
            "scheduler": "vllm",
            "request_rate": 1.0,
            "system": system,
            "workload": read,
            **changed,
        }
        return Cell(**given).key  # type: ignore[arg-type]

    before = key()
    assert before == key()
    others = {
        key(scheduler="orca"),
        key(request_rate=2.0),
        key(system=SystemSettings(num_blocks=9)),
        key(workload=WORKLOAD),
        key(goodput={"ttft": 1.0}),
    }
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,6,1\n")
    others.add(key())  # another content
    assert len(others | {before}) == 7
    path.rename(tmp_path / "u.csv")
    with pytest.raises(ConfigError, match="cannot read"):
        key()


def test_a_failing_cell_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    bad = cells("vllm", rates=(1.0,), max_num_seqs=9999)  # above the budget
    sweep = Sweep([*bad, *cells("vllm", "orca", rates=(1.0,))], tmp_path)
    told: list[object] = []
    rows = sweep.run(processes=2, on_cell=lambda _, outcome: told.append(outcome))
    assert len(rows) == 2
    (failure,) = sweep.failures
    assert failure.cell is bad[0]
    assert "ConfigError: max_num_seqs 9,999 is above max_num_batched_tokens" in failure.error
    assert sum(isinstance(outcome, Failure) for outcome in told) == 1
    assert [cell.key for cell in sweep.missing] == [bad[0].key]


def half_of(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def test_a_process_that_dies_costs_its_own_job_only() -> None:
    outcomes = dict(each_in_processes(half_of, [2, 3, 4, 5, 6], 2))
    died = Failed("its process ended with exit code -9")
    odd = Failed("ValueError: 5 is odd")
    assert outcomes == {2: 1, 3: died, 4: 2, 5: odd, 6: 3}


def test_a_damaged_result_is_computed_anew(tmp_path: Path) -> None:
    asked = cells("vllm", rates=(1.0,))
    (tmp_path / f"{asked[0].key}.json").write_text('{"completed": 5')
    (row,) = Sweep(asked, tmp_path).run(processes=1)
    assert json.loads((tmp_path / f"{asked[0].key}.json").read_text()) == row


def test_parquet_gives_back_what_was_written(tmp_path: Path) -> None:
    rows = [cell.run() for cell in cells("vllm", "orca", rates=(1.0, float("inf")))]
    path = tmp_path / "new" / "rows.parquet"
    write_parquet(rows, path)
    back = parquet.read_table(path).to_pylist()
    assert [row.pop("request_rate") for row in back] == [1.0, float("inf")] * 2
    assert back == [{k: v for k, v in row.items() if k != "request_rate"} for row in rows]
    with pytest.raises(ConfigError, match="cannot write"):
        write_parquet(rows, path / "below-a-file.parquet")


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"minillm-lab\[bench\]"):
        write_parquet([], tmp_path / "x.parquet")


def test_another_model_in_the_same_folder_is_another_cell(tmp_path: Path) -> None:
    def key(layers: int) -> str:
        (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": layers}))
        system = SystemSettings(model=str(tmp_path))
        return Cell(
            scheduler="vllm", request_rate=1.0, system=system, workload=WorkloadSettings()
        ).key

    assert key(2) != key(40)
    assert key(2) == key(2)
