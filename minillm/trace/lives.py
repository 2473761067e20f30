"""Lives: what each request did from its arrival to its end, and who it waited for.

A life is a row of segments without a gap; each says who paid for how much of it, in integer ns. So
a request's segments add up to its end-to-end latency, exactly, and so do their culprits.
`minillm.trace.books` writes them, and says by which rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minillm.trace.culprits import IDLE, ITSELF, NOBODY_ELSE

KINDS = (
    "queue",
    "preempted",
    "recompute",
    "prefill",
    "decode",
    "interference",
    "stall",
    "held",
    "idle",
    "cut",
)
"""What a nanosecond of a life may have been, in the order in which charts stack them. A segment is
of one of them but `interference`, the part of a decode segment that prefills in the same batch
took, and `idle`, the part of any segment in which no step ran. `cut` came before the stretch that
was cut out of a run."""


@dataclass(slots=True)
class Segment:
    """A stretch in which a request did one thing. Times are engine-clock ns.

    `culprits` add up to `end − start`. `first` and `last` are the steps it covers (of a wait that
    began while a step was under way, that step is the first).
    """

    kind: str
    start: int
    end: int
    first: int
    last: int
    culprits: dict[str, int] = field(default_factory=dict)

    @property
    def ns(self) -> int:
        return self.end - self.start

    def kind_of(self, culprit: str) -> str:
        """As what the part of `culprit` counts."""
        if culprit == IDLE:
            return "idle"
        if self.kind == "decode" and culprit != ITSELF:
            return "interference"
        return self.kind


@dataclass(slots=True)
class Life:
    """One request, or a fork of one, from `arrival` to `end`: that of the trace if it has not
    `finished`. `worst[culprit]`: the step at which that one cost it most, and how much (ns)."""

    id: str
    arrival: int
    end: int
    finished: bool
    segments: list[Segment]
    worst: dict[str, tuple[int, int]]

    @property
    def ns(self) -> int:
        return self.end - self.arrival

    def totals(self) -> dict[str, dict[str, int]]:
        """Kind → culprit → ns. Kinds and culprits in the order in which they first came up."""
        totals: dict[str, dict[str, int]] = {}
        for segment in self.segments:
            for culprit, ns in segment.culprits.items():
                parts = totals.setdefault(segment.kind_of(culprit), {})
                parts[culprit] = parts.get(culprit, 0) + ns
        return totals

    def by_others(self) -> dict[str, dict[str, int]]:
        """Other requests that it paid for: culprit → kind → ns."""
        others: dict[str, dict[str, int]] = {}
        for kind, culprits in self.totals().items():
            for culprit, ns in culprits.items():
                if culprit not in NOBODY_ELSE:
                    others.setdefault(culprit, {})[kind] = ns
        return others

    def cells(self) -> list[Cell]:
        """Its row of the matrix."""
        return [
            Cell(self.id, culprit, sum(kinds.values()), self.worst[culprit][0], kinds)
            for culprit, kinds in self.by_others().items()
        ]


@dataclass(frozen=True, slots=True)
class Cell:
    """What `culprit` cost `waiter`: `ns` in all, by kind in `kinds`; most of it at `step`."""

    waiter: str
    culprit: str
    ns: int
    step: int
    kinds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Who waited for whom. `waiters` and `culprits` in order of arrival; a pair of which neither
    cost the other anything has no cell. `ns` is what requests cost each other in the whole run:
    of which the cells hold all, unless some requests are left out."""

    waiters: list[str]
    culprits: list[str]
    cells: list[Cell]
    ns: int

    def cell(self, waiter: str, culprit: str) -> Cell | None:
        pair = (waiter, culprit)
        return next((each for each in self.cells if (each.waiter, each.culprit) == pair), None)


@dataclass(frozen=True, slots=True)
class Lives:
    """Every request's life by its id, in order of arrival at the engine; rejected ones have
    none."""

    requests: dict[str, Life]

    def matrix(self, most: int | None = None) -> Matrix:
        """The waiter × culprit matrix; cells in order of waiters, then culprits. `most`: of that
        many waiters, those who lost most to others, and of the culprits who cost these most."""
        lost = {id: sum(_to_others(life).values()) for id, life in self.requests.items()}
        waiters = _heaviest(lost, most)
        cost: dict[str, int] = {}
        for id in waiters:
            for culprit, ns in _to_others(self.requests[id]).items():
                cost[culprit] = cost.get(culprit, 0) + ns
        place = {id: number for number, id in enumerate(dict.fromkeys((*self.requests, *cost)))}
        waiters.sort(key=place.__getitem__)
        culprits = sorted(_heaviest(cost, most), key=place.__getitem__)
        shown = set(culprits)
        cells = [
            cell
            for id in waiters
            for cell in sorted(self.requests[id].cells(), key=lambda cell: place[cell.culprit])
            if cell.culprit in shown
        ]
        return Matrix(waiters, culprits, cells, sum(lost.values()))

    def __repr__(self) -> str:
        lost = {id: sum(_to_others(life).values()) for id, life in self.requests.items()}
        told = ", ".join(f"{id} lost {lost[id] / 1e6:,.1f} ms" for id in _heaviest(lost, 3))
        return f"<Lives of {len(self.requests)} requests: {told or 'nobody lost anything'}>"


def _to_others(life: Life) -> dict[str, int]:
    """Culprit → ns."""
    cost: dict[str, int] = {}
    for segment in life.segments:
        for culprit, ns in segment.culprits.items():
            if culprit not in NOBODY_ELSE:
                cost[culprit] = cost.get(culprit, 0) + ns
    return cost


def _heaviest(ns: Mapping[str, int], most: int | None) -> list[str]:
    return sorted((id for id in ns if ns[id]), key=lambda id: -ns[id])[:most]
