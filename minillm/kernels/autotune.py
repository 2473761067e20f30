"""The fastest tiles for a kind of batch, found by trying.

The order of the candidates is fixed and begins with the rule's choice; a later one must be faster
by more than the noise. So the same measurements give the same tiles, and no time at all gives the
rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minillm.kernels.tiles import MIN_ROWS, AttentionShape, Kind, Tiles, power_of_2, rule_tiles

NOISE = 0.02  # what is less faster than this, is not
Measure = Callable[[Tiles], float | None]

# (keys per iteration, warps, stages), likely ones first: time may run out.
_DECODE = (
    *((64, 4, 2), (32, 4, 3), (32, 4, 4), (64, 4, 4), (128, 4, 2), (64, 8, 3), (32, 2, 3)),
    *((128, 8, 2), (64, 2, 3), (128, 4, 3), (128, 8, 3), (16, 4, 4), (32, 2, 4), (16, 2, 4)),
)
# (rows, keys per iteration, warps, stages)
_PREFILL = (
    *((128, 64, 8, 2), (128, 128, 8, 2), (128, 64, 4, 2), (128, 64, 4, 3), (64, 64, 4, 2)),
    *((64, 64, 4, 3), (128, 32, 4, 3), (128, 32, 8, 3), (64, 128, 4, 2), (128, 128, 8, 3)),
    *((64, 32, 4, 3), (128, 32, 4, 4), (256, 64, 8, 2), (64, 32, 4, 4)),
)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of trying candidates."""

    tiles: Tiles
    seconds: float | None  # of one call; None where nothing was measured
    rule_seconds: float | None  # likewise, with the rule's tiles
    num_tried: int
    num_candidates: int


def candidates(
    kind: Kind, shape: AttentionShape, *, num_sms: int, shared_memory: int
) -> list[Tiles]:
    """The rule's tiles, then others whose loads in flight fit a program's `shared_memory` (bytes).

    Whether registers hold them only the compiler can tell: what it refuses is passed over.
    """
    longest = 1 if kind == "decode" else 1 << 20
    rule = rule_tiles(longest, shape, num_sms)
    least = max(MIN_ROWS, power_of_2(shape.group))
    sizes = [(least, *rest) for rest in _DECODE] if kind == "decode" else list(_PREFILL)
    dims = power_of_2(shape.head_dim) + power_of_2(shape.v_dim)
    found = [rule]
    for block_m, keys, num_warps, num_stages in sizes:
        in_flight = (num_stages - 1) * keys * dims * shape.kv_dtype.itemsize
        queries = block_m * power_of_2(shape.head_dim) * shape.dtype.itemsize
        tiles = Tiles(block_m, block_m // shape.group, keys, num_warps, num_stages, num_sms)
        if block_m >= least and in_flight + queries <= shared_memory and tiles not in found:
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
