"""`minillm trace …`: recordings compared, cut, annotated and exported from the shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli import refused, shell

from minillm.recordings import bundled

VLLM, SARATHI = (bundled(f"long-prompt-{name}") for name in ("vllm", "sarathi"))


def test_check_is_what_a_file_gets() -> None:
    plain, named = shell("trace", VLLM), shell("trace", "check", VLLM)
    assert plain.exit_code == 0, plain.output
    assert plain.stdout == named.stdout
    listed = shell("trace", "--help").stdout
    for command in ("check", "compare"):
        assert command in listed


def test_compare_marks_the_best_and_tells_the_differences(tmp_path: Path) -> None:
    chart = tmp_path / "ecdf.svg"
    result = shell(
        "trace", "compare", VLLM, SARATHI, "--goodput", "ttft:100", "--differences", 2,
        "--chart", chart,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["vllm", "sarathi"]
    (p99,) = (line for line in lines if line[:2] == ["p99", "TTFT,"])
    assert p99 == ["p99", "TTFT,", "ms", "163", "*", "241"]
    assert any(line[:2] == ["request", "goodput,"] for line in lines)
    assert result.stdout.count("sooner with") == 2
    assert "request 10: done 82 ms sooner with vllm than with sarathi" in result.stdout
    assert "TTFT" in chart.read_text()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([VLLM], "1 traces cannot be compared"),
        ([VLLM, bundled("static-static")], "do not share their requests"),
        ([VLLM, "nowhere.jsonl"], "there is no file nowhere.jsonl"),
    ],
)
def test_what_cannot_be_compared_is_refused(files: list[object], why: str) -> None:
    assert why in refused(shell("trace", "compare", *files))
