"""Which function's kernels are observed, told in a way that another process understands."""

from __future__ import annotations

import inspect
import linecache
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from minillm.config import closest
from minillm.xray.case import XRayError

KERNELS = {
    "paged_attention": "minillm.kernels.triton_attention:paged_attention",
    "csr_attention": "minillm.xray.csr:csr_attention",
    "simple_attention": "minillm.kernels.simple_attention:simple_attention",
    "write_kv": "minillm.kernels.triton_kv_write:write_kv",
}
Function = Callable[..., Any]


class Kernel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`function` of an importable `module`, of a `file`, or of `source`, a notebook's cell."""

    function: str
    module: str = ""
    file: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """What the X-ray calls it; no folder of this machine is in it."""
        if self.module:
            return f"{self.module}:{self.function}"
        return f"{Path(self.file).name}:{self.function}" if self.file else self.function


def find_kernel(kernel: str | Function) -> Kernel:
    """The kernel that `kernel` means; see `xray`. Raises XRayError where it means none."""
    return _from_text(kernel) if isinstance(kernel, str) else _from_function(kernel)


def _from_text(text: str) -> Kernel:
    place, colon, function = KERNELS.get(text, text).rpartition(":")
    if not colon or not place or not function.isidentifier():
        raise XRayError(
            f"unknown kernel {text!r}.{closest(text, KERNELS)} Known: {', '.join(KERNELS)}; or "
            "name a function of your own, file.py:function or module:function."
        )
    if not place.endswith(".py"):
        return Kernel(module=place, function=function)
    if not os.path.isfile(place):
        raise XRayError(f"there is no file {place}")
    return Kernel(file=os.path.abspath(place), function=function)


def _from_function(function: Function) -> Kernel:
    if not inspect.isfunction(function):
        raise XRayError(
            f"{function!r} is no Python function: give the function that launches the kernel on "
            "its grid, not the kernel"
        )
    name, file = function.__name__, function.__code__.co_filename
    if function.__qualname__ != name:
        raise XRayError(
            f"{function.__qualname__} is defined inside another function or class; move it to the "
            "top of a file or of a notebook's cell"
        )
    module = sys.modules.get(function.__module__)
    if function.__module__ != "__main__" and _importable(function.__module__, file):
        return Kernel(module=function.__module__, function=name)
    if os.path.isfile(file):
        return Kernel(file=os.path.abspath(file), function=name)
    lines = linecache.getlines(file, getattr(module, "__dict__", None))
    if not lines:
        raise XRayError(f"the source of {name} is not to be had; write it into a file")
    return Kernel(source="".join(lines), function=name)


def _importable(module: str, file: str) -> bool:
    """Whether a fresh process would find the same file under this name."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return False
    found = None if spec is None else spec.origin
    return found is not None and os.path.realpath(found) == os.path.realpath(file)
