"""Watching Triton's interpreter from outside while it runs a kernel, which stays as it is.

The interpreter (triton/runtime/interpreter.py) runs the programs of a grid one after the other
and turns each `tl.load` and `tl.store` into a call that has the addresses and the mask of every
lane: these calls are listened to. A kernel's own variables are read from its frame, line by line.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from unittest.mock import patch

import numpy as np
import triton
from triton.runtime import interpreter

from minillm.xray.access import access_of
from minillm.xray.addresses import AddressMap
from minillm.xray.case import XRayError
from minillm.xray.launches import OpenLaunch, OpenProgram, is_machinery
from minillm.xray.records import Launch

_INT1 = interpreter.tl.int1


class Observer:
    """Collects the launches made within `watching`. `watch`: names of variables of a kernel."""

    def __init__(self, memory: AddressMap, watch: Iterable[str]) -> None:
        self.memory = memory
        self.watch = tuple(watch)
        self._open: list[OpenLaunch] = []

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
            self._open.append(OpenLaunch(executor.fn, given, self.memory))
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
            self._open[-1].programs.append(OpenProgram((program[0], program[1], program[2])))

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
        access, inside = access_of(self.memory, ptrs.data, active, itemsize, op, launch.site())
        launch.programs[-1].accesses.append(access)
        return interpreter.TensorHandle(inside, _INT1)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        """For `sys.settrace`: look into the frames of a kernel's functions, and no others."""
        if not (self.watch and self._open) or is_machinery(frame):
            return None
        launch = self._open[-1]
        if not (launch.programs and launch.owns(frame)):
            return None
        program, here = launch.programs[-1], frame.f_locals
        known = {name: here.get(name) for name in self.watch}

        def look(frame: FrameType, event: str, arg: Any) -> Any:
            if event in ("line", "return"):
                program.look(frame.f_locals, known)
            return look

        return look
