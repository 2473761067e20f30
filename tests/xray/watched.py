"""Kernels watched in this process, which must have TRITON_INTERPRET set."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from minillm.kernels import triton_attention, triton_tile
from minillm.xray import Case, Launch, Program, XRay
from minillm.xray.observe import observe
from minillm.xray.reading import attention
from minillm.xray.run import WATCHED

SOURCES = (triton_tile, triton_attention)


def watched(case: Case, kernel: Callable[..., Any] = triton_attention.paged_attention) -> XRay:
    return observe(case, kernel, "kernel", WATCHED)


def computing(launch: Launch) -> list[Program]:
    """Without the spare programs, which return at once."""
    return [p for p in launch.programs if any(access.op == "store" for access in p.accesses)]


def program(xray: XRay, *id: int) -> Program:
    (found,) = [p for p in attention(xray).programs if p.id == id]
    return found


def mutant(folder: Path, right: str, wrong: str) -> Callable[..., Any]:
    """`paged_attention` of a copy of its sources in which `wrong` stands for `right`."""
    sources = {module: Path(str(module.__file__)).read_text() for module in SOURCES}
    assert sum(source.count(right) for source in sources.values()) == 1
    for module, source in sources.items():
        text = source.replace(right, wrong)
        for other in SOURCES:
            text = text.replace(f"from {other.__name__} import", f"from {_copy(other)} import")
        (folder / f"{_copy(module)}.py").write_text(text)
    loaded = None
    for module in SOURCES:  # what is imported comes first
        spec = spec_from_file_location(_copy(module), folder / f"{_copy(module)}.py")
        assert spec is not None
        assert spec.loader is not None
        loaded = sys.modules[_copy(module)] = module_from_spec(spec)
        spec.loader.exec_module(loaded)
    assert loaded is not None
    return loaded.paged_attention


def _copy(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2] + "_mutant"
