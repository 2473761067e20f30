"""What is exported and opened again is the same: files, pages, tables."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet
import pytest
from recorded_runs import record

from minillm.trace import Trace, TraceError
from minillm.trace.tables import encode_table, save_table

RUN = record("vllm", seed=8, requests=14, num_blocks=16, fork=0.3, abort=0.02).trace
LAST = len(RUN.steps) - 1
VARIANTS = {
    "whole": RUN,
    "noted": RUN.with_note(3, "</script><b>look</b>", by="x"),
    "cut": RUN.with_note(LAST // 2, "here").trim(LAST // 3, LAST - 1),
    "unfinished": Trace(RUN.header, RUN.steps[:9]),
}


def _same(a: Trace, b: Trace) -> None:
    assert list(a.lines()) == list(b.lines())
    assert a.notes == b.notes
    assert a.requests == b.requests
    assert a.lives().requests == b.lives().requests
    for n in (-1, 0, len(a.steps) - 1):
        assert a.state_at(n).keyframe() == b.state_at(n).keyframe()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_file_opens_as_what_was_saved(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    VARIANTS[name].save(path)
    _same(Trace.load(path), VARIANTS[name])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_page_holds_what_was_saved(name: str, tmp_path: Path) -> None:
    """Its data is a trace file again."""
    page, path = tmp_path / "run.html", tmp_path / "run.jsonl"
    VARIANTS[name].to_html(page)
    found = re.search(
        r'id="minillm-trace">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None
    data = json.loads(found[1])
    path.write_bytes(
        b"".join(msgspec.json.encode(each) + b"\n" for each in (data["header"], *data["records"]))
    )
    _same(Trace.load(path), VARIANTS[name])


@pytest.mark.parametrize("name", VARIANTS)
def test_tables_hold_the_figures(name: str) -> None:
    trace = VARIANTS[name]
    rows = {row["request"]: row for row in trace.requests_table()}
    assert list(rows) == [request.id for request in trace.requests]
    for request in trace.requests:
        row = rows[request.id]
        if request.rejected is not None:
            assert (row["life_ms"], row["rejected"]) == (None, request.rejected)
            continue
        kinds = [row[key] for key in row if re.fullmatch(r"life_\w+_ms", key)]
        assert sum(kinds) == pytest.approx(row["life_ms"])
        if request.completed and request.first_token_at and request.finished_at:
            assert row["ttft_ms"] == (request.first_token_at - request.arrival) / 1e6
            assert row["e2el_ms"] == row["life_ms"]
        else:
            assert row["e2el_ms"] is None
    steps = trace.steps_table()
    assert [row["step"] for row in steps] == list(range(len(trace.steps)))
    size = trace.header.num_blocks * trace.header.block_size
    for n, row in enumerate(steps):
        assert sum(row[key] for key in row if key.startswith("slots_")) == size
        assert row["running"] == trace.series.running[n]
        assert row["prefilling"] + row["decoding"] <= row["running"]


@pytest.mark.parametrize("table", ["requests_table", "steps_table"])
def test_tables_read_back(table: str, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = getattr(RUN, table)()
    save_table(rows, tmp_path / "t.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pylist() == rows
    save_table(rows, tmp_path / "t.csv")
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    assert read == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in rows
    ]


def test_a_spreadsheet_computes_nothing() -> None:
    (row,) = csv.reader(io.StringIO(encode_table([{"a": '=1+"2"', "b": -3}], "csv").decode()[4:]))
    assert row == ['\'=1+"2"', "-3"]


def test_an_empty_run_has_empty_tables() -> None:
    empty = Trace(RUN.header)
    for kind in ("csv", "parquet"):
        assert encode_table(empty.requests_table(), kind)
        assert encode_table(empty.steps_table(), kind)


def test_what_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TraceError, match=r"\.csv or \.parquet, not 't.xls'"):
        save_table([], tmp_path / "t.xls")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TraceError, match=r"needs pyarrow: pip install"):
        save_table([], tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []
