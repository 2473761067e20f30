"""What the package is when somebody else has it: quick to import, and whole as a wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import minillm
from minillm.pocket import pocket_path

ROOT = Path(__file__).parents[1]


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module", ["minillm", "minillm.workload.scenes", "minillm.trace", "minillm.stage"]
)
def test_importing_loads_no_model_code(module: str) -> None:
    heavy = "{'torch', 'transformers', 'streamlit', 'altair'}"
    assert run(f"import sys, {module}; print(sorted({heavy} & sys.modules.keys()))") == "[]"


def test_every_promised_name_is_there() -> None:
    for name in minillm.__all__:
        assert getattr(minillm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        minillm.nonsense  # noqa: B018


def test_version_is_the_distributions() -> None:
    from importlib.metadata import version

    assert version("minillm-lab") == minillm.__version__


def test_the_bundled_model_fits_a_repository() -> None:
    size = sum(path.stat().st_size for path in pocket_path().iterdir())
    assert size <= 8 << 20, f"{size / (1 << 20):.1f} MiB"


@pytest.mark.full
def test_the_wheel_is_whole(tmp_path: Path) -> None:
    """Built from the checkout, it holds every file that git has below these folders."""
    pip_wheel = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
    subprocess.run([*pip_wheel, "--no-build-isolation", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("minillm_lab-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "minillm", "app", "lessons"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    wanted = {name if name.startswith("minillm/") else f"minillm/_{name}" for name in listed}
    assert wanted - packed == set()
    for suffix in (".js", ".css", ".safetensors", ".jsonl", ".jinja"):
        assert any(name.endswith(suffix) for name in packed), suffix
