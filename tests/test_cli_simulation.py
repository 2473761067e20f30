"""`minillm simulate` and `minillm roofline`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from minillm.cli import cli
from minillm.trace import Trace


def shell(*args: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli, [str(arg) for arg in args])


def printed(block: str) -> dict[str, str]:
    """The rows of a result: name and value."""
    rows = (line.rsplit(":", 1) for line in block.splitlines() if ": " in line)
    return {name: value.strip() for name, value in rows}


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_a_simulation_prints_figures_and_leaves_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    result = shell(
        *("simulate", "--model", "llama-2-70b", "--hardware", "h100-sxm", "--tensor-parallel", 8),
        *("--scheduler", "vllm", "--random-input-len", 300, "--random-output-len", 20),
        *("--num-prompts", 30, "--request-rate", 4, "--goodput", "ttft:500", "tpot:0"),
        *("--record", path),
    )
    assert result.exit_code == 0, result.output
    assert "vllm · llama-2-70b on 8 × h100-sxm, simulated" in result.stdout
    rows = printed(result.stdout)
    assert rows["Successful requests"] == "30"
    assert rows["Failed requests"] == "0"
    assert rows["Request rate configured (RPS)"] == "4.00"
    assert rows["Total input tokens"] == "9000"
    assert rows["Total generated tokens"] == "600"
    assert rows["Request goodput (req/s)"] == "0.00"
    assert Trace.load(path).metrics()["completed"] == 30


def test_the_same_seed_prints_the_same() -> None:
    asked = ("simulate", "--dataset-name", "sharegpt", "--num-prompts", 40)
    runs = [shell(*asked, "--seed", seed).stdout for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_a_published_trace_is_served(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        "arrived_at,num_prefill_tokens,num_decode_tokens\n0,100,20\n1,50,9000\n2,5000,1\n"
    )
    result = shell("simulate", "--dataset-path", path, "--dataset-name", "vidur")
    rows = printed(result.stdout)
    assert (rows["Successful requests"], rows["Failed requests"]) == ("2", "1")
    assert "Request rate configured (RPS)" not in rows
    assert "refused, 1 requests, the first: the prompt has 5,000 tokens" in result.stderr
    asked = ("simulate", "--dataset-path", path, "--dataset-name", "vidur", "--num-prompts", 4)
    assert "num_prompts 4 is more than the 3 requests of" in refused(shell(*asked))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "lama-2-7b"), "Did you mean 'llama-2-7b'"),
        (("--hardware", "h100"), "unknown hardware 'h100'"),
        (("--dataset-name", "sharegtp"), "Did you mean 'sharegpt'"),
        (("--dataset-name", "mooncake"), "mooncake is read from a file: give dataset_path"),
        (("--dataset-name", "alpaca", "--dataset-path", "x"), "'alpaca' is no format of a file"),
        (
            ("--dataset-name", "custom", "--dataset-path", "x"),
            "custom is text, which only",
        ),
        (("--dataset-name", "azure", "--dataset-path", "none.csv"), "cannot read none.csv"),
        (("--random-range-ratio", "1"), "random_range_ratio must be in [0, 1)"),
        (("--request-rate", "-1"), "a request rate must be above 0"),
        (("--burstiness", "0"), "burstiness must be between"),
        (("--label", "a"), "label is for results that are saved: add save_result"),
        (("--dataset-name", "alpaca", "--random-input-len", 9), "random_input_len is for dataset"),
        (("--goodput", "ttft"), "a goodput limit is NAME:MILLISECONDS"),
        (("--goodput", "ttft:1", "speed:3"), "unknown goodput limit 'speed'"),
        (("--goodput", "ttft:-1"), "must be ≥ 0 ms"),
        (("--percentile-metrics", "ttft,tpt"), "Did you mean 'tpot'"),
        (("--metric-percentiles", "99,30"), "metric_percentiles '30' is not measured"),
        (("--model", "llama-2-70b"), "does not fit"),
        (("--kv-cache", "contigous"), "Did you mean 'contiguous'"),
        (("--preemption", "swp"), "Did you mean 'swap'"),
        (("--save-result", "--result-dir", "/proc/nowhere"), "cannot write /proc/nowhere/"),
    ],
)
def test_mistakes_end_in_one_line(arguments: tuple, message: str) -> None:
    assert message in refused(shell("simulate", "--num-prompts", 5, *arguments))


def test_a_bad_row_ends_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,12\n")
    assert "line 2: a field is missing" in refused(
        shell("simulate", "--dataset-name", "azure", "--dataset-path", path)
    )


def test_the_roofline_prints_both_countings_and_the_sizes() -> None:
    result = shell("roofline", "llama-2-7b", "--hardware", "a6000")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["q_proj", "68.7G", "67.1MB", "1,024", "compute", "443.9"] in lines
    assert ["gate_proj", "185G", "152MB", "1,215", "compute", "1,193.0"] in lines
    assert ["qk_matmul", "34.4G", "302MB", "113.8", "memory", "393.2"] in lines
    assert any(line[:1] == ["fused_attention"] for line in lines)
    assert "6,738,415,616 parameters" in result.stdout
    assert "524,288 per token" in result.stdout
    assert "of 48 GiB: fits" in result.stdout


def test_the_roofline_of_one_device_of_many() -> None:
    result = shell("roofline", "opt-66b", "--tensor-parallel", 4, "--batch", 8)
    assert result.exit_code == 0, result.output
    assert "one layer of one device" in result.stdout
    assert "does not fit" in shell("roofline", "opt-66b").stdout
    assert "of 320 GiB: fits" in result.stdout
    assert "Did you mean" in refused(shell("roofline", "opt-66"))


def test_results_are_saved_with_vllms_keys(tmp_path: Path) -> None:
    result = shell(
        *("simulate", "--num-prompts", 10, "--max-concurrency", 2, "--label", "try"),
        *("--percentile-metrics", "ttft,e2el", "--metric-percentiles", "50,95"),
        *("--save-result", "--result-dir", tmp_path),
    )
    (path,) = tmp_path.iterdir()
    assert f"Saved: {path}" in result.stdout.replace("\n", "")
    assert path.name.startswith("try-infqps-concurrency2-llama-2-7b-")
    saved = json.loads(path.read_text())
    assert saved["completed"] == saved["num_prompts"] == 10
    assert {"p50_ttft_ms", "p95_e2el_ms"} <= set(saved)
    assert "p99_ttft_ms" not in saved
    assert "P95 E2EL (ms):" in result.stdout


def test_the_roofline_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "roof.svg"
    result = shell("roofline", "llama-2-7b", "--chart", path)
    assert result.exit_code == 0, result.output
    assert "Drawn: " in result.stdout
    assert "llama-2-7b on 1 × a100-80gb, batch 1, 2,048 tokens" in path.read_text()
    assert "a chart is .html, .svg, .png" in refused(shell("roofline", "x", "--chart", "roof.pdf"))
    below = path / "roof.png"
    assert "cannot write" in refused(shell("roofline", "llama-2-7b", "--chart", below))
