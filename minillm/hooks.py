"""Hooks: how anything outside watches the engine without the engine knowing of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import UnionType
from typing import Any

from minillm.events import Alloc, Event, Free, Preempted, Step, SwappedIn, SwappedOut

log = logging.getLogger(__name__)

EVENTS = (
    "request_added",  # (Request)
    "scheduled",  # (Schedule), before it is executed
    "blocks_allocated",  # (events.Alloc)
    "blocks_freed",  # (events.Free)
    "preempted",  # (events.Preempted)
    "swapped",  # (events.SwappedOut or events.SwappedIn)
    "forked",  # (Request, Request), parent and child
    "token",  # (Request, Sampled), once per sampled token
    "attention",  # (AttentionRead), once per layer and step of a real model
    "finished",  # (RequestOutput)
    "step",  # (Step), after it is complete
)

_MOVES: dict[str, type[Event] | UnionType] = {
    "blocks_allocated": Alloc,
    "blocks_freed": Free,
    "preempted": Preempted,
    "swapped": SwappedOut | SwappedIn,
}


class Hooks:
    """`hooks.on(event, fn)` calls fn at every such event, in the engine's thread: `scheduled` and
    `attention` at once, all others when the step is over, so that they may use the engine.

    A hook that raises is reported once and dropped; it never stops the engine.
    """

    def __init__(self) -> None:
        self._functions: dict[str, tuple[Callable[..., Any], ...]] = dict.fromkeys(EVENTS, ())
        self._sources: dict[str, Callable[[Callable[..., None] | None], None]] = {}
        self._held: list[tuple[str, tuple[Any, ...]]] | None = None

    def on(self, event: str, function: Callable[..., Any]) -> Callable[[], None]:
        """Call `function` at every `event`; returns a function that takes it off again."""
        if event not in self._functions:
            raise ValueError(f"unknown hook event {event!r}. Known: {', '.join(EVENTS)}.")
        self._functions[event] += (function,)
        self._connect(event)
        return lambda: self._off(event, function)

    def _off(self, event: str, function: Callable[..., Any]) -> None:
        functions = list(self._functions[event])
        if function in functions:  # it may have been taken off before
            functions.remove(function)
            self._functions[event] = tuple(functions)
            self._connect(event)

    def on_demand(self, event: str, connect: Callable[[Callable[..., None] | None], None]) -> None:
        """Let a source outside the engine tell `event`, only while somebody listens: `connect` is
        called with the function to tell it to, and with None when nobody listens any more."""
        self._sources[event] = connect
        self._connect(event)

    def _connect(self, event: str) -> None:
        if event in self._sources:
            self._sources[event](partial(self.emit, event) if self._functions[event] else None)

    def wanted(self, event: str) -> bool:
        """True when somebody listens, so that building the argument is worth it."""
        return bool(self._functions[event])

    def hold(self) -> None:
        """From now on keep what is told: a step is in progress, and a hook may use the engine."""
        self._held = []

    def let_go(self) -> list[tuple[str, tuple[Any, ...]]]:
        """What was told since `hold`, to be emitted now: (event, arguments)."""
        held, self._held = self._held, None
        return held or []

    def tell(self, event: str, *args: Any) -> None:
        """As `emit`, but only after the step in progress, if there is one."""
        if self._held is None:
            self.emit(event, *args)
        elif self._functions[event]:
            self._held.append((event, args))

    def emit_moves(self, step: Step) -> None:
        """Tell what `step` did to blocks and sequences, each in an event of its own."""
        if step.events or step.after:
            for name, kind in _MOVES.items():
                if self._functions[name]:
                    for event in (*step.events, *step.after):
                        if isinstance(event, kind):
                            self.emit(name, event)

    def emit(self, event: str, *args: Any) -> None:
        for function in self._functions[event]:
            try:
                function(*args)
            except Exception:
                log.exception("hook %r on %r raised and was dropped", function, event)
                self._off(event, function)
