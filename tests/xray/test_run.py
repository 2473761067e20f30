"""`xray`: kernels watched in a process of their own."""

from __future__ import annotations

import linecache
import os
import types
from importlib.util import find_spec
from pathlib import Path

import pytest
import student
from msgspec.structs import replace
from typer.testing import CliRunner

from minillm.cli import cli
from minillm.xray import EXAMPLE, Access, Case, XRay, XRayError, bundled_xray, load, xray, xrays
from minillm.xray.cases import CASES
from minillm.xray.file import encode
from minillm.xray.kernel import find_kernel
from minillm.xray.reading import accesses, attention, blocks_read

TINY = Case(seq_lens=(6,), block_tables=((4, 1),))
STUDENT = str(Path(student.__file__))


def loaded(xray: XRay) -> list[Access]:
    return list(accesses(attention(xray).programs[0], "k_cache"))


@pytest.fixture(scope="module")
def example() -> XRay:
    return xray(EXAMPLE)


def alike(now: XRay, kept: XRay) -> None:
    """The same but for rounding: sums differ between machines."""
    assert (now.kernel, now.case, now.tensors) == (kept.kernel, kept.case, kept.tensors)
    for launch, known in zip(now.launches, kept.launches, strict=True):
        assert (launch.kernel, launch.grid) == (known.kernel, known.grid)
        assert (launch.tensors, launch.arguments) == (known.tensors, known.arguments)
        assert launch.sites == known.sites
        for one, before in zip(launch.programs, known.programs, strict=True):
            assert (one.id, one.accesses) == (before.id, before.accesses)
            told = [(value.name, value.after) for value in one.values]
            assert told == [(value.name, value.after) for value in before.values]
            for value, earlier in zip(one.values, before.values, strict=True):
                assert value.numbers == pytest.approx(earlier.numbers, rel=1e-3, abs=1e-3)


def test_the_bundled_ones_are_what_the_kernel_gives_today(example: XRay):
    """If not: `python scripts/xray_bundled.py`."""
    alike(example, bundled_xray())
    layouts = [(name, layout) for name in ("shared", "gqa") for layout in ("HND", "packed")]
    cases = [replace(CASES[name](4), layout=layout) for name, layout in layouts]
    for (name, layout), now in zip(layouts, xrays(cases), strict=True):
        alike(now, bundled_xray(name, layout))


def test_several_in_one_process_are_what_each_is_alone(example: XRay):
    first, second = xrays((TINY, EXAMPLE))
    assert encode(second) == encode(example)
    assert first == xray(TINY)


def test_two_processes_give_the_same_bytes_and_leave_this_one_alone(example: XRay):
    before = dict(os.environ)
    assert encode(xray(EXAMPLE)) == encode(example)
    assert dict(os.environ) == before
    assert "TRITON_INTERPRET" not in before


def test_a_function_of_ones_own(capsys: pytest.CaptureFixture[str]):
    """Given itself, and by the name of its file; what it prints is printed."""
    seen = xray(TINY, kernel=student.first_rows, watch=("best",))
    assert [access.boxes[0][0] for access in loaded(seen)] == [(4, 5), (1, 2)]
    assert blocks_read(seen, attention(seen).programs[0]) == (4, 1)
    values = attention(seen).programs[0].values
    assert len(values) == 3
    assert values[0].numbers == (float("-inf"),)
    assert capsys.readouterr().out == "the table is [4, 1]\n"
    named = xray(TINY, kernel=f"{STUDENT}:first_rows", watch=("best",))
    assert named.launches == seen.launches
    assert named.kernel == "student.py:first_rows"


def test_a_function_of_a_notebooks_cell():
    """It has no file: what the cell says is run anew."""
    source = Path(STUDENT).read_text()
    name = "<ipython-input-7>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    cell = types.ModuleType("__main__")
    code = compile(source.replace("@triton.jit", ""), name, "exec")
    exec(code, cell.__dict__)
    assert find_kernel(cell.__dict__["first_rows"]).source == source
    seen = xray(TINY, kernel=cell.__dict__["first_rows"])
    assert seen.kernel == "first_rows"
    assert len(loaded(seen)) == 2


def test_leaving_the_cache_does_not_end_the_process():
    """The third block of the table is none."""
    (one,) = attention(xray(TINY, kernel=student.too_far)).programs
    told = [(access.tensor, access.bytes, access.outside) for access in one.accesses[1:6:2]]
    assert told == [("k_cache", 64, 0), ("k_cache", 64, 0), ("", 0, 32)]


def test_what_goes_wrong_is_told_in_one_line():
    for function, why in (
        (student.wrong, r"raised ValueError: no such luck, at student.py line \d+: raise ValueErr"),
        (student.wrong_in_the_kernel, r"raised \w+: .*student.py line \d+: "),
        (student.dies, "the process that ran .*:dies was ended by SIGABRT"),
    ):
        with pytest.raises(XRayError, match=why) as told:
            xray(TINY, kernel=function)
        assert "\n" not in str(told.value)


def test_it_takes_no_longer_than_it_may():
    with pytest.raises(XRayError, match="took longer than 4 s; take a smaller case, or more time"):
        xray(TINY, kernel=student.slow, timeout=4)


def test_files_that_do_not_import(tmp_path: Path):
    (tmp_path / "broken.py").write_text("import no_such_module\n")
    with pytest.raises(XRayError, match=r"importing broken.py:f raised ModuleNotFoundError: .*'no"):
        xray(TINY, kernel=f"{tmp_path}/broken.py:f")
    with pytest.raises(XRayError, match=r"there is no function 'nothing' in student\.py:nothing"):
        xray(TINY, kernel=f"{STUDENT}:nothing")


def test_kernels_that_are_none():
    for kernel, why in (
        ("paged_atention", "unknown kernel 'paged_atention'. Did you mean 'paged_attention'?"),
        ("no.py:f", "there is no file no.py"),
        (":f", "unknown kernel ':f'"),
        (student._first_rows, "give the function that launches the kernel"),
        (student.outer(), "is defined inside another function or class"),
        (eval("lambda q: q"), "is defined inside another|the source of <lambda> is not to be had"),
    ):
        with pytest.raises(XRayError, match=why):
            xray(TINY, kernel=kernel)


def test_without_triton(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "minillm.xray.run.find_spec", lambda name: None if name == "triton" else find_spec(name)
    )
    with pytest.raises(XRayError, match=r"needs the triton package.* bundled_xray\(\)"):
        xray(TINY)


def test_an_fp8_cache_with_page_tables_from_the_shell(tmp_path: Path):
    path = tmp_path / "x.json"
    args = ("--seq-lens", "9", "6", "--kernel", "csr_attention", "--kv-cache-dtype", "fp8")
    result = CliRunner(env={"COLUMNS": "160"}).invoke(cli, ["xray", *args, "--save", str(path)])
    assert result.exit_code == 0, result.output
    assert "2 KV heads of 32 float16, KV cache in fp8, NHD" in result.stdout
    assert "K and V: 1,920 bytes loaded of 1,920 that the queries see" in result.stdout
    seen = load(path)
    assert (seen.case.kv_cache_dtype, attention(seen).arguments["BLOCK_M"]) == ("fp8", 16)
    assert {"kv_indptr", "kv_indices", "k_scale"} <= {tensor.name for tensor in seen.tensors}


def test_from_the_shell(tmp_path: Path):
    """Several launches, of kernels that do not read the cache too; watching what is asked for."""
    path = tmp_path / "x.json"
    lengths = ("--seq-lens", "9", "6", "--query-lens", "1", "1")
    result = CliRunner(env={"COLUMNS": "160"}).invoke(
        cli, ["xray", *lengths, "--num-splits", "2", "--watch", "shrink", "--save", str(path)]
    )
    assert result.exit_code == 0, result.output
    assert "_merge · grid 8 × 1 × 1" in result.stdout
    assert "lse[0, 1], out[0, 1, 0]" in result.stdout
    assert f"Saved: minillm xray --load {path}" in result.stdout
    seen = load(path)
    assert (seen.case.seq_lens, seen.case.tile_keys) == ((9, 6), 16)
    values = [v for launch in seen.launches for p in launch.programs for v in p.values]
    assert {value.name for value in values} == {"shrink"}
