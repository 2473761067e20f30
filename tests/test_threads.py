"""How many threads: half the cores that are ours, and never more than allowed."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from minillm import threads


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def pretend(cores: int, allowed: int, quota: str = "max 100000") -> None:
        monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: cores)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)), raising=False)
        path = tmp_path / "cpu.max"
        path.write_text(quota)
        monkeypatch.setattr(threads, "_QUOTA", path)

    return pretend


@pytest.mark.parametrize(
    ("cores", "allowed", "quota", "expected"),
    [
        (1, 1, "max 100000", 1),
        (2, 2, "max 100000", 1),
        (8, 16, "max 100000", 4),
        (64, 128, "max 100000", 8),
        (64, 4, "max 100000", 2),
        (64, 128, "400000 100000", 2),
        (64, 128, "50000 100000", 1),
        (8, 8, "nonsense", 4),
    ],
)
def test_half_of_what_is_ours(machine, cores: int, allowed: int, quota: str, expected: int) -> None:
    machine(cores, allowed, quota)
    assert threads.serving_threads() == expected


def test_the_cap_is_kept_and_checked(machine) -> None:
    machine(64, 64)
    assert threads.serving_threads(most=3) == 3
    with pytest.raises(ValueError, match="most must be at least 1"):
        threads.serving_threads(most=0)


def test_torch_is_given_the_number_asked_for(machine) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        machine(64, 64)
        assert threads.set_threads() == min(8, before)
        assert threads.set_threads(2) == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
