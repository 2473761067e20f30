"""Launches and programs while they are being watched."""

from __future__ import annotations

import linecache
import sys
from itertools import islice
from types import CodeType, FrameType
from typing import Any

import numpy as np

from minillm.xray.addresses import AddressMap
from minillm.xray.case import XRayError
from minillm.xray.records import Access, Launch, Program, ProgramId, Site, Value

MOST_VALUES = 256  # of a watched variable: one per row of a tile
_OWN = tuple(f"minillm.xray.{name}" for name in ("launches", "observer"))


class OpenLaunch:
    """A launch that may not be over."""

    def __init__(
        self, fn: Any, given: dict[str, Any], memory: AddressMap, watch: tuple[str, ...]
    ) -> None:
        self.name: str = fn.__name__
        self.code: CodeType = fn.__code__
        self.watch = watch
        self.grid: ProgramId = (0, 0, 0)
        self.programs: list[OpenProgram] = []
        self.sites: dict[Site, int] = {}
        self._found: dict[tuple[CodeType, int], int] = {}  # (code, instruction) → site
        self.tensors: dict[str, str] = {}
        self.arguments: dict[str, Any] = {}
        for name, value in given.items():
            value = getattr(value, "base", value)  # of a tensor descriptor
            if hasattr(value, "data_ptr"):
                self.tensors[name] = memory.add(name.removesuffix("_ptr"), value)
            else:
                self.arguments[name] = _plain(value)

    def site(self) -> int:
        """Which line of the kernel, or of a function it calls, is running."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and _is_machinery(frame):
            frame = frame.f_back
        if frame is None:
            raise XRayError("a kernel touched memory outside any function")
        key = (frame.f_code, frame.f_lasti)
        if key not in self._found:
            site = Site(function=frame.f_code.co_name, source=_source(frame))
            self._found[key] = self.sites.setdefault(site, len(self.sites))
        return self._found[key]

    def record(self) -> Launch:
        return Launch(
            kernel=self.name,
            grid=self.grid,
            tensors=self.tensors,
            arguments=self.arguments,
            sites=tuple(self.sites),
            programs=tuple(program.record() for program in self.programs),
        )


class OpenProgram:
    """A program that may not be over."""

    def __init__(self, id: ProgramId) -> None:
        self.id = id
        self.accesses: list[Access] = []
        self._values: list[Value] = []
        self._last: dict[str, Any] = {}

    def look(self, variables: Any, watch: tuple[str, ...]) -> None:
        """Note which of the watched variables have a new value."""
        for name in watch:
            value = variables.get(name)
            if value is None or value is self._last.get(name):
                continue
            self._last[name] = value  # kept, so that no other object takes its place
            numbers = _numbers(value)
            if 0 < len(numbers) <= MOST_VALUES:
                found = Value(name=name, after=len(self.accesses), values=numbers)
                self._values.append(found)

    def record(self) -> Program:
        return Program(id=self.id, accesses=tuple(self.accesses), values=tuple(self._values))


def _is_machinery(frame: FrameType) -> bool:
    """Of triton or of the observer, not of a kernel."""
    module = frame.f_globals.get("__name__", "")
    return module in _OWN or module == "triton" or module.startswith("triton.")


def _source(frame: FrameType) -> str:
    """The statement that `frame` is at, on one line."""
    positions = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    first, last = positions[0] or frame.f_lineno, positions[1] or frame.f_lineno
    lines = linecache.getlines(frame.f_code.co_filename)[first - 1 : last]
    return " ".join(line.strip() for line in lines)


def _plain(value: Any) -> bool | int | float | str | None:
    """An argument that is no tensor, as JSON knows it. Nothing that differs between two runs."""
    value = getattr(value, "value", value)  # of a constexpr
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return type(value).__name__ if " at 0x" in text else text


def _numbers(value: Any) -> tuple[float | str, ...]:
    """The elements of a floating point variable, each as the shortest text that means it; empty
    for anything else."""
    data = np.asarray(value.handle.data if hasattr(value, "handle") else value)
    if data.dtype not in (np.float16, np.float32, np.float64) or data.size > MOST_VALUES:
        return ()
    return tuple(
        float(str(x)) if np.isfinite(x) else str(float(x)) for x in np.atleast_1d(data).ravel()
    )
