"""Benchmarks in simulated time are quick to start."""

from __future__ import annotations

import subprocess
import sys


def test_importing_loads_nothing_heavy() -> None:
    program = (
        "import sys, minillm.bench\n"
        "heavy = {'torch', 'transformers', 'altair', 'pyarrow', 'pandas', 'numpy', 'sklearn'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
