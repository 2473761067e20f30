"""The fastest tiles for a kind of batch, found by trying.

The order of the candidates is fixed and begins with the rule's choice; a later one must be faster
by more than the noise. So the same measurements give the same tiles, and no time at all gives the
rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minillm.kernels.tiles import (
    MIN_ROWS,
    AttentionShape,
    Gpu,
    Kind,
    Tiles,
    power_of_2,
    rule_tiles,
    shared_memory_of,
)

NOISE = 0.02  # what is less faster than this, is not
Measure = Callable[[Tiles], float | None]

# (keys per iteration, warps, stages), likely ones first: time may run out.
_DECODE = (
    *((32, 4, 5), (64, 4, 7), (32, 4, 7), (64, 8, 5), (128, 8, 5), (32, 2, 5), (64, 4, 3)),
    *((128, 4, 3), (16, 4, 7), (64, 8, 7), (32, 2, 7), (128, 4, 5), (16, 2, 7), (128, 8, 3)),
)
# (rows, keys per iteration, warps, stages)
_PREFILL = (
    *((128, 64, 8, 5), (128, 32, 8, 5), (64, 64, 4, 5), (128, 64, 8, 3), (128, 128, 8, 3)),
    *((128, 64, 8, 7), (64, 32, 4, 5), (128, 32, 8, 7), (64, 64, 4, 3), (64, 128, 4, 3)),
    *((64, 32, 4, 7), (64, 64, 8, 5), (128, 64, 16, 5), (256, 32, 16, 5)),
)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of trying candidates."""

    tiles: Tiles
    seconds: float | None  # of one call; None where nothing was measured
    rule_seconds: float | None  # likewise, with the rule's tiles
    num_tried: int
    num_candidates: int


def candidates(kind: Kind, shape: AttentionShape, gpu: Gpu) -> list[Tiles]:
    """The rule's tiles, then others that shared memory has room for.

    Whether registers hold them only the compiler can tell: what it refuses is passed over.
    """
    rule = rule_tiles(1 if kind == "decode" else 1 << 20, shape, gpu)
    least = max(MIN_ROWS, power_of_2(shape.group))
    sizes = [(least, *rest) for rest in _DECODE] if kind == "decode" else list(_PREFILL)
    found = [rule]
    for block_m, keys, num_warps, num_stages in sizes:
        tiles = Tiles(block_m, block_m // shape.group, keys, num_warps, num_stages, gpu.num_sms)
        fits = shared_memory_of(tiles, shape) <= gpu.shared_memory
        if block_m >= least and fits and tiles not in found:
            found.append(tiles)
    return found


def pick(
    tried_in_order: Sequence[Tiles],
    measure: Measure,
    deadline: float,
    now: Callable[[], float] = time.monotonic,
) -> Tuned:
    """The fastest of `tried_in_order`, of which the first is the rule's.

    `measure` gives seconds, or None for tiles that cannot run. No candidate is begun once
    `deadline` seconds have passed; with 0 none is, and the first is taken unmeasured. Of those
    that differ by less than `NOISE`, the earlier is taken.
    """
    began = now()
    best, best_seconds = tried_in_order[0], None
    rule_seconds, num_tried = None, 0
    for tiles in tried_in_order:
        if now() - began >= deadline:
            break
        seconds = measure(tiles)
        if num_tried == 0:
            rule_seconds = seconds
        num_tried += 1
        if seconds is not None and (best_seconds is None or seconds < best_seconds * (1 - NOISE)):
            best, best_seconds = tiles, seconds
    return Tuned(best, best_seconds, rule_seconds, num_tried, len(tried_in_order))
