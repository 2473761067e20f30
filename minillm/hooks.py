"""Hooks: how anything outside watches the engine without the engine knowing of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

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


class Hooks:
    """`hooks.on(event, fn)` calls fn at every such event, in the engine's thread: `scheduled` and
    `attention` at once, all others when the step is over, so that they may use the engine.

    A hook that raises is reported once and dropped; it never stops the engine.
    """

    def __init__(self) -> None:
        self._functions: dict[str, list[Callable[..., Any]]] = {name: [] for name in EVENTS}
        self._sources: dict[str, Callable[[Callable[..., None] | None], None]] = {}

    def on(self, event: str, function: Callable[..., Any]) -> Callable[[], None]:
        """Call `function` at every `event`; returns a function that takes it off again."""
        if event not in self._functions:
            raise ValueError(f"unknown hook event {event!r}. Known: {', '.join(EVENTS)}.")
        functions = self._functions[event]
        functions.append(function)
        self._connect(event)

        def off() -> None:
            if function in functions:
                functions.remove(function)
                self._connect(event)

        return off

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

    def emit(self, event: str, *args: Any) -> None:
        functions = self._functions[event]
        if not functions:
            return
        for function in tuple(functions):
            try:
                function(*args)
            except Exception:
                log.exception("hook %r on %r raised and was dropped", function, event)
                if function in functions:  # it may have taken itself off
                    functions.remove(function)
                    self._connect(event)
