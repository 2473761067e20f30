"""A class: one teaches, others see the same step of the same trace. Nobody else moves anything."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstage.shown import Shown

TELL_EVERY = 500  # ms between two reports of the teacher's stage while it plays
AWAY = 5.0  # seconds after which one who has not looked is no longer counted


@dataclass(eq=False)
class Lesson:
    """What the class sees: `step` (its number; None before the stage has said) and `select` of
    `shown`, until it is over."""

    shown: Shown
    clock: Callable[[], float] = time.monotonic
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    moment: tuple[int | None, str | None] = (None, None)  # step, selection
    over: bool = False
    _seen: dict[str, float] = field(default_factory=dict)

    def seen_by(self, follower: str) -> None:
        """A follower has looked."""
        self._seen[follower] = self.clock()

    @property
    def num_followers(self) -> int:
        recent = self.clock() - AWAY
        return sum(at > recent for at in list(self._seen.values()))


class Lessons:
    """The classes of this process, by the token of their link."""

    def __init__(self) -> None:
        self._lessons: dict[str, Lesson] = {}
        self._lock = threading.Lock()

    def begin(self, shown: Shown) -> Lesson:
        lesson = Lesson(shown)
        with self._lock:
            self._lessons[lesson.token] = lesson
        return lesson

    def end(self, lesson: Lesson) -> None:
        lesson.over = True
        with self._lock:
            self._lessons.pop(lesson.token, None)

    def find(self, token: str) -> Lesson | None:
        with self._lock:
            return self._lessons.get(token)


class Lectern:
    """A session's place to teach from: at most one class at a time."""

    def __init__(self, lessons: Lessons) -> None:
        self.lesson: Lesson | None = None
        self._lessons = lessons

    def begin(self, shown: Shown, step: int | None, select: str | None) -> None:
        """Let a class follow."""
        self.close()
        self.lesson = self._lessons.begin(shown)
        self.lesson.moment = (step, select)

    def show(self, shown: Shown) -> None:
        """Something else may be on the teacher's stage."""
        lesson = self.lesson
        if lesson is not None and lesson.shown is not shown:
            lesson.moment = (shown.start, None)
            lesson.shown = shown

    def tell(self, step: int | None, select: str | None) -> None:
        """Where the teacher's stage is."""
        if self.lesson is not None:
            self.lesson.moment = (step, select)

    @property
    def tell_every(self) -> int:
        """ms between two reports of the stage while it plays; 0 where nobody follows."""
        return TELL_EVERY if self.lesson is not None else 0

    def close(self) -> None:
        """The class is over, or the teacher has left."""
        if self.lesson is not None:
            self._lessons.end(self.lesson)
            self.lesson = None
