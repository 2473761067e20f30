"""Kernels watched in this process, which must have TRITON_INTERPRET set."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from minillm.kernels import triton_attention
from minillm.xray import Case, Launch, Program, XRay
from minillm.xray.observe import observe
from minillm.xray.reading import attention
from minillm.xray.run import WATCHED


def watched(case: Case, kernel: Callable[..., Any] = triton_attention.paged_attention) -> XRay:
    return observe(case, kernel, "kernel", WATCHED)


def computing(launch: Launch) -> list[Program]:
    """Without the spare programs, which return at once."""
    return [p for p in launch.programs if any(access.op == "store" for access in p.accesses)]


def program(xray: XRay, *id: int) -> Program:
    (found,) = [p for p in attention(xray).programs if p.id == id]
    return found


def mutant(folder: Path, right: str, wrong: str) -> Callable[..., Any]:
    """`paged_attention` of a copy of its source in which `wrong` stands for `right`."""
    source = Path(str(triton_attention.__file__)).read_text()
    assert source.count(right) == 1
    path = folder / "mutant.py"
    path.write_text(source.replace(right, wrong))
    spec = spec_from_file_location("mutant", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.paged_attention
