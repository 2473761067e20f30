"""One uniform number per output position, a function of (seed, request, position) only.

Counter-based: nothing is drawn in sequence, so preemption, batch neighbours and batch size cannot
change it. The mixing is SplitMix64's finaliser.
"""

from __future__ import annotations

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(state: int, value: int) -> int:
    """Absorb `value` into a 64-bit `state`."""
    z = (state + GOLDEN * (value + 1)) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def uniform(
    engine_seed: int, own_seed: int | None, number: int, position: int, fork: int = 0
) -> float:
    """In [0, 1), 53 bits. A request with a seed of its own depends on that seed alone, and on
    which of its answers this is."""
    key = mix(mix(1, engine_seed), number) if own_seed is None else mix(2, own_seed)
    if fork:
        key = mix(mix(3, key), fork)
    return (mix(key, position) >> 11) * 2.0**-53
