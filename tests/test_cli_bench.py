"""`minillm bench serve`, `capacity` and `sweep`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from minillm.cli import cli
from minillm.cli.groups import spread
from minillm.trace import Trace

SMALL = ("--num-prompts", 4, "--random-input-len", 16, "--random-output-len", 4)


def shell(*args: object) -> Result:
    return CliRunner(env={"COLUMNS": "140"}).invoke(cli, ["bench", *(str(arg) for arg in args)])


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_several_values_after_one_option() -> None:
    args = ["--a", "1", "2", "--b", "x", "--a", "-3", "--c", "--a=4"]
    assert spread(args, {"--a"}) == [
        *("--a", "1", "--a", "2", "--b", "x", "--a", "-3", "--c", "--a=4")
    ]
    assert spread(["--a"], {"--a"}) == ["--a"]
    assert spread(["--a=1", "2"], {"--a"}) == ["--a=1", "--a", "2"]


@pytest.mark.parametrize("command", ["serve", "capacity", "sweep"])
def test_every_command_explains_itself(command: str) -> None:
    result = shell(command, "--help")
    assert result.exit_code == 0
    for option in ("--dataset-name", "--num-prompts", "--random-input-len", "--goodput"):
        assert option in result.stdout


def test_serve_prints_saves_and_records(tmp_path: Path) -> None:
    trace = tmp_path / "run.jsonl"
    result = shell(
        *("serve", *SMALL, "--scheduler", "orca", "--max-num-seqs", 2, "--num-blocks", 60),
        *("--num-warmups", 1, "--max-concurrency", 2, "--goodput", "ttft:1e9", "tpot:1e9"),
        *("--save-result", "--result-dir", tmp_path, "--result-filename", "r.json"),
        *("--record", trace),
    )
    assert result.exit_code == 0, result.output
    assert "orca · pocket on cpu" in result.stdout
    assert "Maximum request concurrency:             2" in result.stdout
    saved = json.loads((tmp_path / "r.json").read_text())
    assert saved["completed"] == saved["num_prompts"] == 4
    assert saved["total_output_tokens"] == 16
    assert saved["request_goodput"] == saved["request_throughput"]
    assert len(Trace.load(trace).requests) == 5


def test_serve_answers_texts(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "What is 3 plus 4?"}\n')
    asked = ("serve", "--dataset-name", "custom", "--dataset-path", path, "--custom-output-len", 7)
    result = shell(*asked, "--ignore-eos")
    assert result.exit_code == 0, result.output
    assert "Total generated tokens:                  7" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serve", "--model", "./nowhere"), "no model folder"),
        (("serve", "--scheduler", "vlm"), "Did you mean 'vllm'?"),
        (("serve", *SMALL, "--record", "/proc/x.jsonl"), "cannot save to /proc/x.jsonl"),
        (("serve", *SMALL, "--request-rate", 0), "a request rate must be above 0"),
        (("serve", "--goodput", "tttf:3"), "Did you mean 'ttft'?"),
        (("capacity",), "an SLO needs limits"),
        (("capacity", "--slo", "p98_itl:3"), "unknown limit 'p98_itl'"),
        (("capacity", "--slo", "p99_itl:x"), "a limit is NAME:MILLISECONDS"),
        (("capacity", "--goodput", "ttft:9", "--attainment", 2), "attainment must be in (0, 1]"),
        (("capacity", "--slo", "p99_itl:9", "--attainment", 0.9), "the share of requests within"),
        (("serve", *SMALL, "--num-warmups", 5), "num_warmups 5 is more than the 4 requests"),
        (("capacity", "--slo", "p99_itl:3", "--start-rate", "inf"), "start must be finite"),
        (("sweep", "--schedulers", "vlm", "--rates", 1), "Did you mean 'vllm'?"),
        (("sweep", "--schedulers", "vllm", "--rates", -1), "a request rate must be above 0"),
        (("sweep", "--schedulers", "vllm", "--rates", 1, "--chart", "x.pdf"), "a chart is .html"),
        (
            ("sweep", "--schedulers", "vllm", "--rates", 1, "--result-dir", "/proc/x"),
            "cannot keep results in /proc/x",
        ),
    ],
)
def test_mistakes_end_in_one_line(arguments: tuple, message: str) -> None:
    assert message in refused(shell(*arguments))


def test_capacity_prints_the_rate_and_its_probes() -> None:
    asked = ("capacity", "--num-prompts", 40, "--slo", "p99_itl:40", "--goodput", "ttft:300")
    result = shell(*asked, "--start-rate", 4, "--tolerance", 0.5, "--scheduler", "vllm")
    assert result.exit_code == 0, result.output
    assert "p99_itl, ms" in result.stdout
    assert "attainment" in result.stdout
    assert "requests/s meet it: p99_itl ≤ 40 ms, ttft ≤ 300 ms for 90% of requests" in result.stdout
    probes = [line for line in result.stderr.splitlines() if "requests/s: " in line]
    assert len(probes) >= 2
    never = shell("capacity", "--num-prompts", 2, "--slo", "p99_e2el:0")
    assert "No rate meets it: p99_e2el ≤ 0 ms." in never.stdout
    always = shell("capacity", "--num-prompts", 2, "--slo", "p99_e2el:1e9")
    assert "Every rate tried meets it" in always.stdout


SWEEP = ("sweep", "--schedulers", "vllm", "orca", "--rates", 1, 4, "--processes", 1)


def test_a_sweep_is_told_kept_written_and_drawn(tmp_path: Path) -> None:
    kept, parquet, chart = tmp_path / "kept", tmp_path / "s.parquet", tmp_path / "s.svg"
    asked = (*SWEEP, *SMALL, "--goodput", "ttft:500", "tpot:50", "--result-dir", kept)
    result = shell(*asked, "--output", parquet, "--chart", chart)
    assert result.exit_code == 0, result.output
    first, *others = [line.split() for line in result.stdout.splitlines() if "." in line][:4]
    assert first[:2] == ["vllm", "1"]
    assert [row[0] for row in others] == ["4", "orca", "4"]
    assert len(list(kept.iterdir())) == 4
    assert parquet.stat().st_size > 0
    assert chart.read_text().startswith("<svg")
    again = shell(*asked)
    assert "4 of 4 cells are in" in again.stderr
    assert result.stdout.startswith(again.stdout)


def test_a_failing_cell_is_told_beside_the_others(tmp_path: Path) -> None:
    asked = (*SWEEP, *SMALL, "--max-num-batched-tokens", 12, "--result-dir", tmp_path)
    result = shell(*asked, "--max-num-seqs", 9999)
    assert "4 of 4 cells failed" in refused(result)
    assert "vllm at 1 requests/s: ConfigError: max_num_seqs 9,999" in result.stderr


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    asked = [*SWEEP, "--result-dir", tmp_path, "--num-prompts", 2000]
    arguments = [str(arg) for arg in asked]
    with subprocess.Popen(
        [sys.executable, "-m", "minillm", "bench", *arguments, "--dataset-name", "sharegpt"],
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background of a shell, they are told to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    kept = len(list(tmp_path.glob("*.json")))
    assert 1 <= kept < 4
    assert process.returncode == 2
    assert f"error: interrupted; {kept} of 4 cells are kept in" in told
    assert "Traceback" not in told
    rest = shell(*asked, "--dataset-name", "sharegpt")
    assert rest.exit_code == 0
    assert f"{kept} of 4 cells are in" in rest.stderr


def test_kernels_without_time_lists_what_it_would_measure(tmp_path: Path) -> None:
    path, chart = tmp_path / "kernels.json", tmp_path / "kernels.svg"
    result = shell("kernels", "--device", "cpu", "--seconds", 0, "--output", path, "--chart", chart)
    assert result.exit_code == 0, result.output
    assert "a copy moves" in result.stdout
    assert "not measured (out of time)" in result.stdout
    assert "not measured (no CUDA device)" in result.stdout
    assert "decode 64 × 4k: ≥ 85% of the copy bandwidth" in result.stdout
    saved = json.loads(path.read_text("utf-8"))
    assert saved["benchmark"] == "kernels"
    assert {row["status"] for row in saved["rows"]} == {"not measured"}
    assert chart.read_text("utf-8").startswith("<svg")


def test_kernels_refuse_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no CUDA device" in refused(shell("kernels", "--device", "cuda"))
