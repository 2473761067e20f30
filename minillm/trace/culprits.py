"""Who pays for a stretch of time: the culprits that are no request, and how several share one."""

from __future__ import annotations

from collections.abc import Mapping

ITSELF = "itself"
IDLE = "idle"
UNEXPLAINED = "unexplained"  # a wait without a recorded holder

NOBODY_ELSE = frozenset((ITSELF, IDLE, UNEXPLAINED))


def split(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """`total` in integer parts pro rata to `weights`; what rounding leaves goes to the largest
    remainders, ties to the first named. Without any weight it is UNEXPLAINED."""
    whole = sum(weights.values())
    if not whole:
        return {UNEXPLAINED: total}
    parts = {id: total * weight // whole for id, weight in weights.items()}
    left = total - sum(parts.values())
    if left:
        by_remainder = sorted(weights, key=lambda id: -(total * weights[id] % whole))
        for id in by_remainder[:left]:
            parts[id] += 1
    return parts
