"""Kernels watched under the interpreter: the files below run in one process of their own, with
TRITON_INTERPRET set before triton is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FILES = ("interpreted_xray.py", "interpreted_mutants.py", "interpreted_values.py")


def test_under_the_interpreter():
    paths = [str(Path(__file__).with_name(file)) for file in FILES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", *paths],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
