"""`minillm trace …`: recordings compared, cut, annotated and exported from the shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli import refused, shell

from minillm.recordings import bundled
from minillm.trace import Trace

VLLM, SARATHI = (bundled(f"long-prompt-{name}") for name in ("vllm", "sarathi"))


def test_check_is_what_a_file_gets() -> None:
    plain, named = shell("trace", VLLM), shell("trace", "check", VLLM)
    assert plain.exit_code == 0, plain.output
    assert plain.stdout == named.stdout
    listed = shell("trace", "--help").stdout
    for command in ("check", "blame", "compare", "trim", "note", "export"):
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


def test_trim_and_note_make_a_recording_ready_to_be_shown(tmp_path: Path) -> None:
    cut, noted = tmp_path / "cut.jsonl", tmp_path / "noted.jsonl"
    result = shell("trace", "trim", VLLM, cut, "--first", 40, "--last", 60)
    assert result.exit_code == 0, result.output
    assert "21 of" in result.stdout
    assert "10 requests under way where it begins" in " ".join(result.stdout.split())
    stretch = Trace.load(cut)
    assert list(stretch.lines()) == list(Trace.load(VLLM).trim(40, 60).lines())
    before = cut.read_bytes()
    result = shell("trace", "note", cut, "Look: [b]who[/b] \x1b waits?", "--step", 3, "--to", noted)
    assert result.exit_code == 0, result.output
    assert "Look: [b]who[/b] \\x1b waits?" in result.stdout
    assert cut.read_bytes() == before
    assert shell("trace", "note", noted, "Then", "--step", 9, "--by", "me").exit_code == 0
    assert [(n.note, n.text, n.by) for n in Trace.load(noted).notes] == [
        (3, "Look: [b]who[/b] \x1b waits?", ""), (9, "Then", "me")
    ]  # fmt: skip
    told = shell("trace", noted).stdout
    assert "Note on step 9: Then" in told
    assert "a longer run, at its step 40" in told
    assert shell("replay", noted, "--step", 3).exit_code == 0


def test_trim_and_note_refuse_what_is_not_there(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert "no step 99999" in refused(shell("trace", "trim", VLLM, out, "--last", 99999))
    assert "holds nothing" in refused(shell("trace", "trim", VLLM, out, "--first", 9, "--last", 3))
    assert "is empty" in refused(shell("trace", "note", VLLM, " ", "--step", 0))
    assert "no step 99999" in refused(shell("trace", "note", VLLM, "x", "--step", 99999))
    assert not out.exists()


def test_export_writes_tables_beside_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(VLLM.read_bytes())
    assert "say as what" in refused(shell("trace", "export", path))
    assert shell("trace", "export", path, "--csv").exit_code == 0
    result = shell("trace", "export", path, "--csv", "--parquet", "--to", tmp_path)
    assert result.exit_code == 0, result.output
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "run-requests.csv", "run-requests.parquet",
        "run-steps.csv", "run-steps.parquet", "run.jsonl",
    ]  # fmt: skip
    assert "11 rows" in result.stdout
    assert (tmp_path / "run-requests.csv").read_text().startswith("request,parent,client,")
    assert "cannot save" in refused(shell("trace", "export", path, "--csv", "--to", "/nowhere"))


def test_blame_tells_who_waited_for_whom(tmp_path: Path) -> None:
    lives, matrix = tmp_path / "lives.svg", tmp_path / "matrix.svg"
    result = shell("trace", "blame", VLLM, "--most", 3, "--lives", lives, "--matrix", matrix)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["request,", "ms", "queue", "prefill"]
    cells = sorted(Trace.load(VLLM).lives().matrix().cells, key=lambda cell: -cell.ns)[:3]
    assert lines[5:8] == [
        f"{cell.waiter} lost {cell.ns / 1e6:,.1f} ms to {cell.culprit}, worst in step {cell.step:,}"
        for cell in cells
    ]
    for chart in (lives, matrix):
        assert chart.read_text().startswith("<svg")
    assert "not 'x.gif'" in refused(shell("trace", "blame", VLLM, "--matrix", "x.gif"))


def test_what_a_foreign_file_says_is_no_markup(tmp_path: Path) -> None:
    path = tmp_path / "foreign.jsonl"
    header, *rest = VLLM.read_text().splitlines()
    header = header.replace('"scheduler":"vllm"', '"scheduler":"[/b] x"')
    rest = [line.replace('"10"', '"[/i]"') for line in rest]
    path.write_text("\n".join([header, *rest]) + "\n")
    assert "[/b] x" in shell("trace", path).stdout
    assert "[/i]" in shell("trace", "blame", path).stdout
    assert "A: [/b] x" in shell("trace", "compare", path, path).stdout
