"""The Triton kernels, interpreted on the CPU: each file below runs in a process of its own.

triton reads TRITON_INTERPRET when it is imported and when kernels are defined, so one process
cannot hold both interpreted kernels and other ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = ("interpreted_attention.py", "interpreted_kv_write.py", "interpreted_engine.py")


def run_interpreted(file: str, marker: str) -> None:
    path = str(Path(__file__).with_name(file))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-m", marker, path],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES)
def test_under_the_interpreter(file: str):
    run_interpreted(file, "not full")


@pytest.mark.full
def test_the_long_matrix_under_the_interpreter():
    run_interpreted("interpreted_attention.py", "full")
