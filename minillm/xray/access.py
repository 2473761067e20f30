"""The record of one load or store, from the addresses and the mask of its lanes."""

from __future__ import annotations

import numpy as np

from minillm.xray.addresses import AddressMap, boxes, indices
from minillm.xray.records import Access
from minillm.xray.transactions import count_transactions


def access_of(
    memory: AddressMap, pointers: np.ndarray, active: np.ndarray, itemsize: int, op: str, site: int
) -> tuple[Access, np.ndarray]:
    """The record of an access to `pointers` (uint64, of any shape), and which lanes are inside."""
    shape = pointers.shape
    addresses = np.atleast_1d(pointers.astype(np.int64))
    active = np.atleast_1d(active)
    region = memory.find(addresses[active])
    if region is None:
        count = int(np.count_nonzero(active))
        nothing = Access(op=op, tensor="", site=site, lanes=count, width=active.size, bytes=0,
                         requests=0, sectors=0, lines=0, thread_bytes=0, outside=count)  # fmt: skip
        return nothing, np.zeros(shape, bool)
    offsets = addresses - region.start
    elements = offsets.ravel() // itemsize
    found, there = indices(region.tensor, elements)
    inside = there.reshape(offsets.shape) & active
    traffic = count_transactions(offsets, inside, itemsize)
    touched = inside.ravel()
    lanes = int(np.count_nonzero(active))
    access = Access(
        op=op,
        tensor=region.tensor.name,
        site=site,
        boxes=boxes(region.tensor, found[touched]),
        lanes=lanes,
        width=active.size,
        bytes=len(np.unique(elements[touched])) * itemsize,
        requests=traffic.requests,
        sectors=traffic.sectors,
        lines=traffic.lines,
        thread_bytes=traffic.thread_bytes,
        warp=traffic.first_warp if active.size > 1 else (),
        outside=lanes - int(np.count_nonzero(inside)),
    )
    return access, inside.reshape(shape)
