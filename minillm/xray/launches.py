"""Launches and programs while they are being watched."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Mapping
from itertools import islice
from types import CodeType, FrameType
from typing import Any

import numpy as np

from minillm.xray.addresses import AddressMap
from minillm.xray.records import Access, Launch, Line, Program, ProgramId, Site, Value

MOST_VALUES = 256  # of a watched variable: one per row of a tile
_OWN = tuple(f"minillm.xray.{name}" for name in ("launches", "observer"))


class OpenLaunch:
    """A launch that may not be over."""

    def __init__(self, fn: Any, given: Mapping[str, Any], memory: AddressMap) -> None:
        self.name: str = fn.__name__
        self.code: CodeType = fn.__code__
        self.grid: ProgramId = (0, 0, 0)
        self.programs: list[OpenProgram] = []
        self.sites: dict[Site, int] = {}
        self._found: dict[tuple[tuple[CodeType, int], ...], int] = {}  # instructions → site
        self.tensors: dict[str, str] = {}
        self.arguments: dict[str, Any] = {}
        for name, value in given.items():
            value = getattr(value, "base", value)  # of a tensor descriptor
            if hasattr(value, "data_ptr"):
                self.tensors[name] = memory.add(name.removesuffix("_ptr"), value)
            else:
                self.arguments[name] = _plain(value)

    def owns(self, frame: FrameType | None) -> bool:
        """Whether `frame` is the kernel's, or that of a function that the kernel called."""
        while frame is not None and frame.f_code is not self.code:
            frame = frame.f_back
        return frame is not None

    def site(self) -> int:
        """Which line of the kernel is running, and of the functions it called."""
        frames: list[FrameType] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and self.code not in [each.f_code for each in frames]:
            if not is_machinery(frame):
                frames.append(frame)
            frame = frame.f_back
        key = tuple((each.f_code, each.f_lasti) for each in reversed(frames))
        if key not in self._found:
            lines = [Line(function=f.f_code.co_name, source=_source(f)) for f in reversed(frames)]
            self._found[key] = self.sites.setdefault(Site(lines=tuple(lines)), len(self.sites))
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
        self._latest: dict[str, Any] = {}

    def look(self, variables: Mapping[str, Any], known: dict[str, Any]) -> None:
        """Note which of the watched variables of a frame have a new value. `known`: what they
        were when last looked at."""
        for name, before in known.items():
            value = variables.get(name)
            if value is None or value is before:
                continue
            known[name] = value  # kept, so that no other object takes its place
            if value is self._latest.get(name):  # handed over from one function to another
                continue
            self._latest[name] = value
            if numbers := _numbers(value):
                found = Value(name=name, after=len(self.accesses), values=numbers)
                self._values.append(found)

    def record(self) -> Program:
        return Program(id=self.id, accesses=tuple(self.accesses), values=tuple(self._values))


def is_machinery(frame: FrameType) -> bool:
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
