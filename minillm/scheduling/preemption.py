"""Preemption: who gives way when a sequence needs a block and none is free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from minillm.request import Request


class Preemption(Protocol):
    by_rank: ClassVar[bool]  # does the policy's order rank those who run, too?

    def victim(self, running: Sequence[Request], needy: Request) -> Request | None:
        """Whom to preempt so that `needy` can go on; `needy` itself is a valid answer.
        `running` is in order of arrival, or of rank with `by_rank`. None: nobody, `needy`
        waits."""
        ...


@dataclass(frozen=True)
class YoungestFirst:
    """vLLM: the last to arrive gives way, so that the first to arrive always goes on."""

    by_rank: ClassVar[bool] = False

    def victim(self, running: Sequence[Request], needy: Request) -> Request | None:
        return running[-1]


@dataclass(frozen=True)
class LowestRankFirst:
    """Preemptive scheduling: whoever the policy's order puts last gives way, to those who run and
    to those who wait. One who is outranked and whose blocks nobody needs yet is only paused."""

    by_rank: ClassVar[bool] = True

    def victim(self, running: Sequence[Request], needy: Request) -> Request | None:
        return running[-1]


@dataclass(frozen=True)
class Never:
    """Nobody gives way. For policies that reserve memory up front and so never run out."""

    by_rank: ClassVar[bool] = False

    def victim(self, running: Sequence[Request], needy: Request) -> Request | None:
        return None
