"""`minillm xray`: what it prints, and what it refuses in one line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from minillm.cli import cli
from minillm.xray import bundled_xray, load, save
from minillm.xray.file import __file__ as here
from minillm.xray.reading import CACHES

BUNDLED = Path(here).with_name("bundled") / "mixed-NHD.json"


def shell(*args: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(cli, ["xray", *(str(arg) for arg in args)])


def refused(result: Result) -> str:
    """The one line that says why."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_the_grid():
    result = shell("--load", BUNDLED)
    assert result.exit_code == 0, result.output
    for line in (
        "sequence 0: 1 new of 40 tokens, blocks 12 13 1 8 16 15 22 9 7 5",
        "_paged_attention · grid 4 × 2 × 1 · HEAD_DIM=32",
        "K and V: 25,088 bytes loaded of 20,992 that the queries see (1.20×)",
        "K blocks read by more than one program for the same KV head: 8",
    ):
        assert line in result.stdout
    rows = [line.split("  ") for line in result.stdout.splitlines() if line[:1].isdigit()]
    cells = {row[0]: [cell.strip() for cell in row if cell] for row in rows}
    assert cells["1,1,0"][1:3] == ["sequence 1 at 21 · heads 2–3", "17 3 19 2 │ 4 18:0–1"]
    assert cells["2,0,0"][1:3] == ["sequence 2 at 8–15 · heads 0–1", "6 0 10 14"]


def test_one_program_access_by_access():
    result = shell("--load", BUNDLED, "--program", "1,1,0")
    assert result.exit_code == 0, result.output
    assert "load k_cache[17, 0–3, 1]" in result.stdout
    assert "tl.load(q_ptr" in result.stdout
    assert "highest = -inf -inf\n" in result.stdout.replace(" \n", "\n").replace("  ", "")
    assert "store out[1, 2–3]" in result.stdout
    assert "there is no program 9,9,9; the grids are _paged_attention 4,2,1" in refused(
        shell("--load", BUNDLED, "--program", "9,9,9")
    )
    assert "three whole numbers with commas" in refused(
        shell("--load", BUNDLED, "--program", "first")
    )


def test_lanes_outside_are_told(tmp_path: Path):
    xray = bundled_xray()
    (launch,) = xray.launches
    first = launch.programs[0]
    accesses = tuple(
        msgspec.structs.replace(access, outside=7) if access.tensor in CACHES else access
        for access in first.accesses
    )
    changed = msgspec.structs.replace(first, accesses=accesses)
    programs = (changed, *launch.programs[1:])
    broken = msgspec.structs.replace(launch, programs=programs)
    save(msgspec.structs.replace(xray, launches=(broken,)), tmp_path / "x.json")
    result = shell("--load", tmp_path / "x.json")
    assert "12 13 1 8 7 lanes outside │" in result.stdout
    assert "42 lanes pointed outside their tensor" in result.stdout


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--seq-lens", 4000000), "too large to interpret"),
        (("--seq-lens", 9, 4, "--query-lens", 1), "1 query_lens for 2 seq_lens"),
        (("--seq-lens", 0), "no sequence has a new token"),
        (("--block-size", 3), "block_size must be a power of two"),
        (("--num-heads", 5), "num_heads must be a multiple of num_kv_heads"),
        (("--dtype", "int8"), "unknown dtype 'int8'"),
        (("--kv-cache-dtype", "fp4"), "unknown kv_cache_dtype 'fp4'"),
        (("--layout", "rows"), "unknown layout 'rows'"),
        (("--tile-keys", 7), "tile_keys must be a whole number from 16"),
        (("--kernel", "flash"), "unknown kernel 'flash'"),
        (("--kernel", "no.py:kernel"), "there is no file no.py"),
        (("--load", "no.json"), "there is no file no.json"),
        (("--load", __file__), "not a minillm X-ray"),
        (("--load", BUNDLED, "--save", "no/x.json"), "cannot save to no/x.json"),
        (("--trace", "no.jsonl"), "there is no file no.jsonl"),
    ],
)
def test_the_impossible_is_refused_in_one_line(
    args: tuple[object, ...], why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minillm.xray.run.find_spec", lambda name: True)
    monkeypatch.setattr("minillm.cli.xray.find_spec", lambda name: True)
    assert why in refused(shell(*args))


def test_without_triton_the_bundled_one_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(
        "minillm.cli.xray.find_spec", lambda name: None if name == "triton" else find_spec(name)
    )
    result = shell("--save", tmp_path / "x.json")
    assert result.exit_code == 0, result.output
    assert "triton is not installed: this X-ray comes with minillm." in result.stderr
    assert load(tmp_path / "x.json") == bundled_xray()
    for args in (("--seq-lens", 9), ("--kernel", "simple_attention")):
        assert "this takes the triton package" in refused(shell(*args))
