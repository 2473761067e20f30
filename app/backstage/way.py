"""One way to serve a scene's requests, and how a link writes it."""

from __future__ import annotations

from dataclasses import dataclass

from backstage.parameters import one_of, whole
from minillm.costs import HARDWARE
from minillm.kv_cache.memories import MEMORIES
from minillm.messages import say
from minillm.scheduling.systems import SYSTEMS

RECORDED, REAL = "recorded", "real"
DEVICES = (RECORDED, REAL, *HARDWARE)
FEWEST, MOST = 2, 4


@dataclass(frozen=True)
class Way:
    """`device` is a row of the hardware table (simulated), REAL (this machine) or RECORDED (what
    comes with minillm). None: as the scene has it."""

    scheduler: str
    memory: str
    device: str = RECORDED
    block_size: int | None = None
    budget: int | None = None


def write(ways: tuple[Way, ...]) -> str:
    return ",".join(_write(way) for way in ways)


def _write(way: Way) -> str:
    parts = [way.scheduler, way.memory, way.device, way.block_size or "", way.budget or ""]
    while parts[-1] in ("", RECORDED):
        parts.pop()
    return ":".join(map(str, parts))


def read(language: str, text: str) -> tuple[Way, ...]:
    """ValueError says what may be given."""
    ways = tuple(_read(language, part) for part in text.split(",") if part)
    if not FEWEST <= len(ways) <= MOST:
        raise ValueError(say(language, "compare.link_ways", fewest=FEWEST, most=MOST))
    return ways


def _read(language: str, text: str) -> Way:
    parts = text.split(":")
    if not 2 <= len(parts) <= 5:
        raise ValueError(say(language, "compare.link_way"))
    scheduler, memory, device, size, budget = [*parts, *[""] * (5 - len(parts))]
    return Way(
        one_of(language, scheduler, SYSTEMS),
        one_of(language, memory, MEMORIES),
        one_of(language, device or RECORDED, DEVICES),
        whole(language, size) if size else None,
        whole(language, budget) if budget else None,
    )
