"""The process in which a kernel is observed: `python -m minillm.xray.child`, started by `run.py`.

It reads a `Request` from stdin and writes the X-rays, or in one line why there are none, into
files: stdout belongs to what the kernel prints.
"""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec
import triton

from minillm.xray.case import XRayError
from minillm.xray.file import encode
from minillm.xray.kernel import Function, Kernel
from minillm.xray.observe import observe
from minillm.xray.request import ERROR, XRAY, Request


def main() -> None:
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    folder = Path(request.folder)
    try:
        function = _load(request.kernel, folder)
        for number, case in enumerate(request.cases):
            done = observe(case, function, request.kernel.name, request.watch)
            (folder / XRAY.format(number)).write_bytes(encode(done))
    except XRayError as error:
        (folder / ERROR).write_text(str(error), "utf-8")
    except Exception as error:
        (folder / ERROR).write_text(_told(request.kernel.name, error), "utf-8")


def _load(kernel: Kernel, folder: Path) -> Function:
    try:
        module = _module(kernel, folder)
    except Exception as error:
        raise XRayError(_told(f"importing {kernel.name}", error)) from error
    function = getattr(module, kernel.function, None)
    if not callable(function):
        raise XRayError(f"there is no function {kernel.function!r} in {kernel.name}")
    return function


def _module(kernel: Kernel, folder: Path) -> Any:
    if kernel.module:
        return importlib.import_module(kernel.module)
    path = Path(kernel.file) if kernel.file else folder / "cell.py"
    if kernel.source:
        path.write_text(kernel.source, "utf-8")
    sys.path.insert(0, str(path.parent))  # as a script finds what lies beside it
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise XRayError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _told(what: str, error: BaseException) -> str:
    """One line: what raised, why, and at which line of the kernel."""
    while error.__cause__ is not None:  # the interpreter wraps what a kernel raises
        error = error.__cause__
    message = " ".join(str(error).split()) or "no reason given"
    place = ""
    machinery = (str(Path(str(triton.__file__)).parent), str(Path(__file__).parent), "<frozen")
    for frame in traceback.extract_tb(error.__traceback__):
        if not frame.filename.startswith(machinery):
            line = linecache.getline(frame.filename, frame.lineno or 0).strip()
            place = f", at {Path(frame.filename).name} line {frame.lineno}: {line}" if line else ""
    return f"{what} raised {type(error).__name__}: {message}{place}"


if __name__ == "__main__":
    main()
