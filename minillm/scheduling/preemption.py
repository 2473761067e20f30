"""Preemption: who gives way when a running sequence needs a block and none is free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from minillm.request import Request


class Preemption(Protocol):
    def victim(self, running: Sequence[Request], needy: Request) -> Request | None:
        """Whom to preempt so that `needy` can go on; `needy` itself is a valid answer.
        `running` is in arrival order. None: nobody, `needy` waits."""
        ...


@dataclass(frozen=True)
class YoungestFirst:
    """vLLM: the last to arrive gives way, so that the first to arrive always goes on."""

    def victim(self, running: Sequence[Request], needy: Request) -> Request | None:
        return running[-1]


@dataclass(frozen=True)
class Never:
    """Nobody gives way. For policies that reserve memory up front and so never run out."""

    def victim(self, running: Sequence[Request], needy: Request) -> Request | None:
        return None
