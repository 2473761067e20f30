"""`minillm simulate` and `minillm roofline`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from minillm.cli import cli
from minillm.trace import Trace


def shell(*args: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli, [str(arg) for arg in args])


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_a_simulation_prints_figures_and_leaves_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    result = shell(
        *("simulate", "--model", "llama-2-70b", "--hardware", "h100-sxm", "--tensor-parallel", 8),
        *("--scheduler", "vllm", "--dataset", "300,20", "--num-prompts", 30, "--request-rate", 4),
        *("--goodput", "ttft:500", "--goodput", "tpot:0", "--record", path),
    )
    assert result.exit_code == 0, result.output
    assert "vllm · llama-2-70b on 8 × h100-sxm, simulated" in result.stdout
    assert "30 requests completed, 0 refused or failed" in result.stdout
    assert "9,000 tokens read, 600 written" in result.stdout
    assert "goodput: 0.00 requests/s with ttft ≤ 500 ms, tpot ≤ 0 ms" in result.stdout
    assert Trace.load(path).metrics()["completed"] == 30


def test_the_same_seed_prints_the_same() -> None:
    runs = [shell("simulate", "--num-prompts", 40, "--seed", seed).stdout for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_a_published_trace_is_served(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        "arrived_at,num_prefill_tokens,num_decode_tokens\n0,100,20\n1,50,9000\n2,5000,1\n"
    )
    result = shell("simulate", "--trace-file", path, "--trace-format", "vidur")
    assert "2 requests completed, 1 refused or failed" in result.stdout
    assert "refused, 1 requests, the first: the prompt has 5,000 tokens" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "lama-2-7b"), "Did you mean 'llama-2-7b'"),
        (("--hardware", "h100"), "unknown hardware 'h100'"),
        (("--dataset", "sharegtp"), "Did you mean 'sharegpt'"),
        (("--request-rate", "-1"), "rate must be above 0"),
        (("--goodput", "ttft"), "a goodput limit is NAME:MILLISECONDS"),
        (("--goodput", "speed:3"), "unknown goodput limit 'speed'"),
        (("--model", "llama-2-70b"), "does not fit"),
        (("--trace-file", "none.csv"), "cannot read none.csv"),
        (("--trace-file", "none.csv", "--trace-format", "x"), "unknown trace format 'x'"),
    ],
)
def test_mistakes_end_in_one_line(arguments: tuple, message: str) -> None:
    assert message in refused(shell("simulate", *arguments))


def test_a_bad_row_ends_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,12\n")
    assert "line 2: a field is missing" in refused(shell("simulate", "--trace-file", path))


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
