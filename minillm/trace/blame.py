"""Blame: what each request paid for, and to whom; the sums of `minillm.trace.lives`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minillm.trace.books import lives
from minillm.trace.culprits import NOBODY_ELSE

if TYPE_CHECKING:
    from minillm.trace.trace import Trace


@dataclass(frozen=True, slots=True)
class Blame:
    """`requests[id][kind][culprit]` in integer ns; an unfinished request is booked so far. The
    kinds are those of `minillm.trace.lives.KINDS`. What a finished request paid adds up to its
    end-to-end latency, exactly."""

    requests: dict[str, dict[str, dict[str, int]]]

    def of(self, id: str) -> dict[str, int]:
        """Culprit → ns for one request, the heaviest first."""
        total: dict[str, int] = defaultdict(int)
        for culprits in self.requests[id].values():
            for culprit, ns in culprits.items():
                total[culprit] += ns
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def by_kind(self, id: str) -> dict[str, int]:
        """Kind → ns for one request."""
        return {kind: sum(parts.values()) for kind, parts in self.requests[id].items()}

    def caused(self) -> dict[str, int]:
        """Culprit → ns that it cost other requests, the heaviest first."""
        total: dict[str, int] = defaultdict(int)
        for kinds in self.requests.values():
            for culprits in kinds.values():
                for culprit, ns in culprits.items():
                    if culprit not in NOBODY_ELSE:
                        total[culprit] += ns
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def __repr__(self) -> str:
        heaviest = list(self.caused().items())[:3]
        told = ", ".join(f"{id} cost others {ns / 1e6:,.1f} ms" for id, ns in heaviest)
        return f"<Blame of {len(self.requests)} requests: {told or 'nobody cost anybody'}>"


def blame(trace: Trace) -> Blame:
    """Who cost whom how much in `trace`."""
    return Blame({id: life.totals() for id, life in lives(trace).requests.items()})
