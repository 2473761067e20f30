"""The doctor looks at everything and never dies of what it finds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import minillm.pocket
from minillm import doctor
from minillm.cli import cli
from minillm.kernels import tile_cache, tiles


@pytest.fixture(scope="module")
def findings() -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.examine()}


def test_everything_is_looked_at(findings: dict[str, doctor.Finding]) -> None:
    machine = {
        "Python",
        "torch",
        "CPU threads",
        "C compiler",
        "GPU",
        "Triton",
        "attention tiles",
        "memory",
        "browser",
    }
    model = {"pocket model", "its KV pool"}
    assert findings.keys() == machine | model | doctor._PACKAGES.keys()


def test_a_sound_machine_has_no_problem(findings: dict[str, doctor.Finding]) -> None:
    assert [f for f in findings.values() if f.status == "problem"] == []
    assert "serves in float" in findings["pocket model"].found


def test_whatever_is_limited_says_what_to_do(findings: dict[str, doctor.Finding]) -> None:
    for finding in findings.values():
        assert finding.found
        assert finding.status == "ok" or finding.advice, finding


def test_missing_weights_are_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(minillm.pocket, "pocket_path", lambda: tmp_path)
    (finding,) = doctor._model()
    assert finding.status == "problem"
    assert str(tmp_path) in finding.found


def test_torch_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (finding,) = doctor._torch()
    assert finding.status == "problem"
    assert list(doctor._devices()) == []


def test_without_a_compiler_the_cpu_is_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minillm.kernels.native.compiler", lambda: None)
    finding = doctor._compiler()
    assert (finding.status, finding.found) == ("note", "none")
    assert "slower" in finding.advice


def test_a_missing_package_says_what_it_is_for() -> None:
    assert doctor._package("no-such-package", "the app").advice == "needed for the app"
    assert doctor._package("no-such-package", "").status == "problem"


def test_the_browser_is_the_one_on_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.find_browser() == str(browser)
    browser.unlink()
    monkeypatch.setattr(doctor, "_MAC_BROWSERS", ())
    assert doctor.find_browser() is None
    assert doctor._browser().status == "note"


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str | int]:
    """One that torch sees, with an empty cache. Returns what its tuned tiles depend on."""
    machine: dict[str, str | int] = {"gpu": "NVIDIA H200", "triton": "3.6.0", "kernel": "abc"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(doctor, "_version", lambda _: "3.6.0")
    monkeypatch.setattr(tiles, "machine_key", lambda _: machine)
    monkeypatch.setattr(tiles, "gpu_of", lambda _: tiles.Gpu(132, 227 * 1024))
    tiles.tuned_tiles.cache_clear()
    return machine


def test_tiles_by_rule_are_told_with_how_to_tune(
    a_gpu: dict[str, str | int], tmp_path: Path
) -> None:
    (finding,) = doctor._tiles()
    assert "by rule: decode 16 rows × 64 keys, 4 warps, 5 stages; prefill 128 rows" in finding.found
    assert str(tmp_path) in finding.found
    assert "minillm tune" in finding.advice


def test_tuned_tiles_of_this_machine_are_told(a_gpu: dict[str, str | int], tmp_path: Path) -> None:
    shape = {"kind": "decode", "group": 4, "head_dim": 128, "v_dim": 128, "dtype": "bfloat16"}
    record = {"block_m": 16, "keys": 32, "num_warps": 2, "num_stages": 7}
    times = {"seconds": 1e-4, "rule_seconds": 1.25e-4}
    folder = tile_cache.cache_folder()
    tile_cache.write(shape | a_gpu, record | times, folder)
    tile_cache.write(shape | a_gpu | {"gpu": "another"}, record, folder)
    (finding,) = doctor._tiles()
    assert "4 per KV head, decode: 16 rows × 32 keys, 2 warps, 7 stages" in finding.found
    assert "1.25× the rule's speed, tuned" in finding.found


def test_the_command_exits_with_1_on_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = doctor.Finding("problem", "torch", "does not load", "install it anew")
    monkeypatch.setattr(doctor, "examine", lambda: [bad])
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 1
    assert "install it anew" in result.stdout
