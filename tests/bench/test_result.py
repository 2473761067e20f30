"""Results speak vLLM's language: its keys, its printed block."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from minillm.bench import Reporting, SystemSettings, WorkloadSettings, block, result, save
from minillm.config import ConfigError

# What `vllm bench serve --save-result` writes of a run, without --save-detailed; but for
# max_output_tokens_per_s and rtfx, which minillm does not measure.
VLLM = {
    *("backend", "label", "model_id", "num_prompts", "request_rate", "burstiness"),
    *("max_concurrency", "duration", "completed", "failed", "total_input_tokens"),
    *("total_output_tokens", "request_throughput", "request_goodput", "output_throughput"),
    *("total_token_throughput", "max_concurrent_requests"),
    *(f"{s}_{m}_ms" for m in ("ttft", "tpot", "itl") for s in ("mean", "median", "std", "p99")),
}
OURS = {"num_preemptions", "prefix_cache_hit_rate", "peak_kv_cache_usage"}
SETTINGS = {
    "backend": "minillm",
    "label": None,
    "model_id": "llama-2-7b",
    "num_prompts": 20,
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 4,
}


@pytest.fixture(scope="module")
def run():
    return SystemSettings(max_concurrency=4).run(
        WorkloadSettings(num_prompts=20).requests(), "vllm"
    )


def test_keys_are_those_of_vllm(run) -> None:
    found = result(run, SETTINGS)
    assert set(found) == VLLM | OURS
    assert found["request_goodput"] is None
    every = result(run, {}, metrics=("e2el", "queue"), percentiles=(50, 90), goodput={"ttft": 1e9})
    assert {"p90_e2el_ms", "p50_queue_ms", "mean_e2el_ms"} <= set(every)
    assert not {"p99_e2el_ms", "mean_ttft_ms"} & set(every)
    assert every["request_goodput"] == every["request_throughput"] > 0


def test_the_block_has_vllms_layout(run) -> None:
    lines = block(result(run, SETTINGS)).splitlines()
    assert lines[0] == "============ Serving Benchmark Result ============"
    assert lines[1] == "Successful requests:                     20"
    assert lines[3] == "Maximum request concurrency:             4"
    assert "---------------Time to First Token----------------" in lines
    assert "-----Time per Output Token (excl. 1st token)------" in lines
    assert any(line.startswith("P99 ITL (ms):                            ") for line in lines)
    assert not any("goodput" in line or "configured" in line for line in lines)
    assert lines[-1] == "=" * 50
    assert max(map(len, lines)) <= 52


def test_a_result_is_saved_by_a_name_that_tells(run, tmp_path: Path) -> None:
    found, noon = result(run, SETTINGS), datetime(2026, 1, 2, 12, 0, 0)
    path = save(found, Reporting(save_result=True, result_dir=tmp_path / "new", label="mine"), noon)
    assert path.name == "mine-infqps-concurrency4-llama-2-7b-20260102-120000.json"
    assert json.loads(path.read_text()) == {"date": "20260102-120000", **found}
    named = save(
        found, Reporting(save_result=True, result_dir=tmp_path, result_filename="r.json"), noon
    )
    assert named == tmp_path / "r.json"
    with pytest.raises(ConfigError, match="cannot write"):
        save(found, Reporting(save_result=True, result_dir=named), noon)


def test_what_was_not_measured_is_null_in_json(tmp_path: Path) -> None:
    asked = WorkloadSettings(num_prompts=2, random_output_len=1)
    found = result(SystemSettings().run(asked.requests(), "vllm"), SETTINGS)
    assert found["p99_itl_ms"] is None
    assert "P99 ITL (ms):                            nan" in block(found)
    save(found, Reporting(save_result=True, result_dir=tmp_path), datetime(2026, 1, 2))
