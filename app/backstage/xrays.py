"""X-rays to show: those that come with minillm at once, the others by interpreting the kernel."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from msgspec.structs import replace

from minillm.xray import Case, bundled_xray, xrays
from minillm.xray.case import EXAMPLE, LAYOUTS
from minillm.xray.cases import CASES
from minillm.xray.file import encode

KERNELS = ("paged_attention", "simple_attention", "csr_attention")
SIZES = (1, 2, 4, 8, 16)
"""Block sizes to choose from, tokens."""
PLACE = re.compile(r"\d{1,4}(,\d{1,4}){1,2}:\d{1,6}(:\d{1,3})?")
"""A program, which of its loads, and a row of its tile."""
TIMEOUT = 600.0  # seconds
_KEPT = 40
# What the interpreter took on one core: its start, a tile of the fast kernel, a block of the
# simple one. Seconds; later estimates go by how long the last run took.
_START, _TILE, _BLOCK = 4.0, 0.1, 0.045

Texts = dict[str, str | None]
"""The X-ray of each layout as JSON, None where the kernel does not read it."""


class Wanted(NamedTuple):
    """What is X-rayed."""

    kernel: str
    case: str  # one of CASES
    block_size: int

    def cases(self) -> dict[str, Case]:
        """By layout."""
        case = CASES[self.case](self.block_size)
        if self.kernel == "simple_attention":  # it has no tiles, and reads NHD only
            return {"NHD": replace(case, tile_rows=None, tile_keys=None)}
        return {layout: replace(case, layout=layout) for layout in LAYOUTS}


FIRST = Wanted("paged_attention", "mixed", EXAMPLE.block_size)


class XRays:
    """Thread-safe. One kernel is interpreted at a time: it takes a core for seconds."""

    def __init__(self) -> None:
        self._taken: OrderedDict[Wanted, Texts] = OrderedDict()
        self._lock = threading.Lock()  # of what is kept
        self._turn = threading.Lock()  # of the interpreter
        self._pace = 1.0  # seconds taken per second estimated, in the last run

    @property
    def busy(self) -> bool:
        return self._turn.locked()

    def ready(self, wanted: Wanted) -> Texts | None:
        """What there is at once."""
        with self._lock:
            found = self._taken.get(wanted)
        if found is not None:
            return found
        if (wanted.kernel, wanted.block_size) != (FIRST.kernel, FIRST.block_size):
            return None
        seen = {layout: bundled_xray(wanted.case, layout) for layout in LAYOUTS}
        return self._keep(wanted, {layout: encode(each).decode() for layout, each in seen.items()})

    def take(self, wanted: Wanted) -> None:
        """Interpret the kernel; afterwards it is ready. Raises XRayError."""
        with self._turn:
            if self.ready(wanted) is not None:  # another visitor wanted the same
                return
            cases, began = wanted.cases(), time.monotonic()
            seen = xrays(tuple(cases.values()), kernel=wanted.kernel, timeout=TIMEOUT)
            self._pace = (time.monotonic() - began) / _estimate(wanted)
            texts: Texts = dict.fromkeys(LAYOUTS)
            texts |= {name: encode(each).decode() for name, each in zip(cases, seen, strict=True)}
            self._keep(wanted, texts)

    def seconds(self, wanted: Wanted) -> int:
        """How long `take` will run, about."""
        return max(1, round(_estimate(wanted) * self._pace))

    def _keep(self, wanted: Wanted, texts: Texts) -> Texts:
        with self._lock:
            self._taken[wanted] = texts
            while len(self._taken) > _KEPT:
                self._taken.popitem(last=False)
        return texts


def _estimate(wanted: Wanted) -> float:
    """Seconds that an idle core would take."""
    cases = wanted.cases()
    return _START + sum(_work(case) for case in cases.values())


def _work(case: Case) -> float:
    lengths = list(zip(case.query_lens, case.seq_lens, strict=True))
    if case.tile_rows is None or case.tile_keys is None:
        positions = [p for new, length in lengths for p in range(length - new, length)]
        return _BLOCK * case.num_heads * sum(p // case.block_size + 1 for p in positions)
    queries = case.tile_rows // case.group
    tiles = sum(-(-new // queries) * -(-length // case.tile_keys) for new, length in lengths)
    return _TILE * case.num_kv_heads * tiles
