"""Watching Triton's interpreter from outside while it runs a kernel, which stays as it is.

The interpreter (triton/runtime/interpreter.py) runs the programs of a grid one after the other
and turns each `tl.load` and `tl.store` into a call that has the addresses and the mask of every
lane: these calls are listened to. A kernel's own variables are read from its frame, line by line.
"""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any
from unittest.mock import patch

import numpy as np
import triton
from triton.runtime import interpreter

from minillm.xray.addresses import AddressMap, boxes, indices
from minillm.xray.case import XRayError
from minillm.xray.records import Access, Launch, Program, Site, Value
from minillm.xray.transactions import count_transactions, fastest_axis_last

MOST_VALUES = 256  # of a watched variable: one per row of a tile


class Observer:
    """Collects the launches made within `watching`. `watch`: names of variables of a kernel."""

    def __init__(self, memory: AddressMap, watch: Iterable[str]) -> None:
        self.memory = memory
        self.watch = tuple(watch)
        self._open: list[_OpenLaunch] = []

    @property
    def launches(self) -> tuple[Launch, ...]:
        return tuple(launch.record() for launch in self._open)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to the interpreter. Raises XRayError where this triton has another one."""
        builder, executor = interpreter.interpreter_builder, interpreter.GridExecutor
        try:
            patches = [
                patch.object(executor, "_init_args_hst", self._launched(executor._init_args_hst)),
                patch.object(builder, "set_grid_dim", self._gridded(builder.set_grid_dim)),
                patch.object(builder, "set_grid_idx", self._entered(builder.set_grid_idx)),
                patch.object(builder, "create_masked_load", self._loaded(builder)),
                patch.object(builder, "create_masked_store", self._stored(builder)),
                patch.object(builder, "create_atomic_rmw", self._added(builder)),
                patch.object(builder, "create_atomic_cas", self._swapped(builder)),
            ]
        except AttributeError as error:
            raise XRayError(
                f"triton {triton.__version__} interprets kernels in a way not known here: {error}"
            ) from error
        before = sys.gettrace()
        for each in patches:
            each.start()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)
            for each in patches:
                each.stop()

    # What the interpreter calls, with a word to us first.

    def _launched(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def prepare(executor: Any, args: Any, kwargs: Any) -> Any:
            on_host, named_on_host = original(executor, args, kwargs)
            given = inspect.getcallargs(executor.fn, *on_host, **named_on_host)
            self._open.append(_OpenLaunch(executor.fn, given, self.memory, self.watch))
            return on_host, named_on_host

        return prepare

    def _gridded(self, original: Callable[..., None]) -> Callable[..., None]:
        def set_grid(*grid: int) -> None:
            original(*grid)
            self._open[-1].grid = (int(grid[0]), int(grid[1]), int(grid[2]))

        return set_grid

    def _entered(self, original: Callable[..., None]) -> Callable[..., None]:
        def enter(*program: int) -> None:
            original(*program)
            self._open[-1].programs.append(_OpenProgram((program[0], program[1], program[2])))

        return enter

    def _loaded(self, builder: Any) -> Callable[..., Any]:
        original = builder.create_masked_load

        def load(ptrs: Any, mask: Any, *rest: Any, **named: Any) -> Any:
            return original(ptrs, self._touch("load", ptrs, mask), *rest, **named)

        return load

    def _stored(self, builder: Any) -> Callable[..., Any]:
        original = builder.create_masked_store

        def store(ptrs: Any, value: Any, mask: Any, *rest: Any, **named: Any) -> Any:
            return original(ptrs, value, self._touch("store", ptrs, mask), *rest, **named)

        return store

    def _added(self, builder: Any) -> Callable[..., Any]:
        original = builder.create_atomic_rmw

        def add(op: Any, ptr: Any, value: Any, mask: Any, *rest: Any) -> Any:
            return original(op, ptr, value, self._touch("atomic", ptr, mask), *rest)

        return add

    def _swapped(self, builder: Any) -> Callable[..., Any]:
        original = builder.create_atomic_cas

        def swap(ptr: Any, *rest: Any) -> Any:
            mask = np.ones(ptr.data.shape, bool)
            if not self._touch("atomic", ptr, interpreter.TensorHandle(mask, _INT1)).data.all():
                raise XRayError("tl.atomic_cas outside its tensor, where nothing can mask it off")
            return original(ptr, *rest)

        return swap

    def _touch(self, op: str, ptrs: Any, mask: Any) -> Any:
        """Note the access; returns the mask without the lanes that point beyond the tensor."""
        launch = self._open[-1]
        data = mask if isinstance(mask, np.ndarray) else mask.data  # of block pointers: an array
        active = np.broadcast_to(data.astype(bool), ptrs.data.shape)
        itemsize = max(1, ptrs.get_element_ty().primitive_bitwidth // 8)
        access, inside = _access(self.memory, ptrs.data, active, itemsize, op, launch.site())
        launch.programs[-1].accesses.append(access)
        return interpreter.TensorHandle(inside, _INT1)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        """For `sys.settrace`: look into the frames of the kernel, and no others."""
        if not self._open or frame.f_code is not self._open[-1].code:
            return None
        launch, program = self._open[-1], self._open[-1].programs[-1]

        def look(frame: FrameType, event: str, arg: Any) -> Any:
            if event in ("line", "return"):
                program.look(frame.f_locals, launch.watch)
            return look

        return look if launch.watch else None


_INT1 = interpreter.tl.int1


class _OpenLaunch:
    """A launch that may not be over."""

    def __init__(
        self, fn: Any, given: dict[str, Any], memory: AddressMap, watch: tuple[str, ...]
    ) -> None:
        self.name: str = fn.__name__
        self.code: CodeType = fn.__code__
        self.watch = watch
        self.grid = (0, 0, 0)
        self.programs: list[_OpenProgram] = []
        self.sites: dict[Site, int] = {}
        self.tensors: dict[str, str] = {}
        self.arguments: dict[str, Any] = {}
        for name, value in given.items():
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
        lines = linecache.getlines(frame.f_code.co_filename)
        first, last = frame.f_lineno, frame.f_lineno
        positions = list(frame.f_code.co_positions())[frame.f_lasti // 2]
        if positions[0] is not None and positions[1] is not None:
            first, last = positions[0], positions[1]
        source = " ".join(line.strip() for line in lines[first - 1 : last])
        return self.sites.setdefault(Site(function=frame.f_code.co_name, source=source),
                                     len(self.sites))  # fmt: skip

    def record(self) -> Launch:
        return Launch(
            kernel=self.name,
            grid=self.grid,
            tensors=self.tensors,
            arguments=self.arguments,
            sites=tuple(self.sites),
            programs=tuple(program.record() for program in self.programs),
        )


class _OpenProgram:
    """A program that may not be over."""

    def __init__(self, id: tuple[int, int, int]) -> None:
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


def _access(
    memory: AddressMap, pointers: np.ndarray, active: np.ndarray, itemsize: int, op: str, site: int
) -> tuple[Access, np.ndarray]:
    """The record of an access to `pointers` (uint64, of any shape), and which lanes are inside."""
    shape = pointers.shape
    addresses = np.atleast_1d(pointers.astype(np.int64))
    active = np.atleast_1d(active)
    region = memory.find(addresses[active])
    if region is None:
        count = int(np.count_nonzero(active))
        nothing = Access(op=op, tensor="", site=site, lanes=count, width=active.size, bytes=0,
                         requests=0, sectors=0, lines=0, thread_bytes=0, outside=count)  # fmt: skip
        return nothing, np.zeros(shape, bool)
    offsets = addresses - region.start
    order = fastest_axis_last(offsets, active, itemsize)
    elements = offsets.transpose(order).ravel() // itemsize
    found, there = indices(region.tensor, elements)
    inside = there.reshape(offsets.transpose(order).shape) & active.transpose(order)
    traffic = count_transactions(
        np.ascontiguousarray(offsets.transpose(order)), np.ascontiguousarray(inside), itemsize
    )
    touched = found[inside.ravel()]
    lanes = int(np.count_nonzero(active))
    access = Access(
        op=op,
        tensor=region.tensor.name,
        site=site,
        boxes=boxes(region.tensor, touched),
        lanes=lanes,
        width=active.size,
        bytes=len(np.unique(elements[inside.ravel()])) * itemsize,
        requests=traffic.requests,
        sectors=traffic.sectors,
        lines=traffic.lines,
        thread_bytes=traffic.thread_bytes,
        warp=traffic.first_warp if active.size > 1 else (),
        outside=lanes - len(touched),
    )
    return access, inside.transpose(np.argsort(order)).reshape(shape)


def _is_machinery(frame: FrameType) -> bool:
    """Of triton or of this file, not of a kernel."""
    module = frame.f_globals.get("__name__", "")
    return module == __name__ or module == "triton" or module.startswith("triton.")


def _plain(value: Any) -> bool | int | float | str | None:
    """An argument that is no tensor, as JSON knows it."""
    value = getattr(value, "value", value)  # of a constexpr
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _numbers(value: Any) -> tuple[float | str, ...]:
    """The elements of a floating point variable, each as the shortest text that means it; empty
    for anything else."""
    data = np.asarray(value.handle.data if hasattr(value, "handle") else value)
    if data.dtype not in (np.float16, np.float32, np.float64) or data.size > MOST_VALUES:
        return ()
    return tuple(
        float(str(x)) if np.isfinite(x) else str(float(x)) for x in np.atleast_1d(data).ravel()
    )
