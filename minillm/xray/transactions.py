"""What the warps of a GPU would ask of memory for one load or store of a tile.

Counted from the addresses of the tile, by these rules:

* The axis along which most neighbours are adjacent in memory is the fastest, as Triton's
  coalescing has it; ties go to the last axis.
* A thread takes as many adjacent elements as lie together everywhere in the tile, aligned to
  their size, up to 16 bytes.
* 32 neighbouring threads are one warp and make one request. A request costs the distinct sectors
  of 32 bytes, and the distinct lines of 128 bytes, that its threads touch. Tensors start at a line.

Requests with every lane masked off cost nothing. Caches are not modelled: two requests for one
sector count twice. The compiler may lay a tile out otherwise than this, but no layout needs fewer
sectors in all than the tile touches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WARP = 32  # threads
SECTOR, LINE = 32, 128  # bytes
MOST_THREAD_BYTES = 16


@dataclass(frozen=True, slots=True)
class Transactions:
    requests: int
    sectors: int
    lines: int
    thread_bytes: int
    first_warp: tuple[int, ...]  # byte of each thread of the first request, −1: masked off


def count_transactions(offsets: np.ndarray, active: np.ndarray, itemsize: int) -> Transactions:
    """offsets: int64, bytes from the tensor's start, of every lane of the tile; active: bool, of
    the same shape."""
    order = _fastest_axis_last(offsets, active, itemsize)
    offsets, active = offsets.transpose(order), active.transpose(order)
    per_thread = _elements_per_thread(offsets, active, itemsize)
    offsets, active = offsets.reshape(-1, per_thread), active.reshape(-1, per_thread)
    starts, awake = offsets[:, 0], active[:, 0]
    thread_bytes = per_thread * itemsize
    requests = np.arange(len(starts)) // WARP
    touched = requests[awake]
    # Aligned and at most 16 bytes: no thread reaches into a second sector.
    sectors = np.unique(np.stack((touched, starts[awake] // SECTOR)), axis=1).shape[1]
    lines = np.unique(np.stack((touched, starts[awake] // LINE)), axis=1).shape[1]
    first = requests == (touched[0] if len(touched) else -1)
    warp = np.where(awake[first], starts[first], -1)
    return Transactions(len(np.unique(touched)), sectors, lines, thread_bytes, tuple(warp.tolist()))


def _fastest_axis_last(offsets: np.ndarray, active: np.ndarray, itemsize: int) -> list[int]:
    """The tile's axes, reordered so that the most contiguous one comes last."""

    def adjacent(axis: int) -> int:
        near, far = _cut(offsets, axis, None, -1), _cut(offsets, axis, 1, None)
        both = _cut(active, axis, None, -1) & _cut(active, axis, 1, None)
        return int(np.count_nonzero((far - near == itemsize) & both))

    axes = list(range(offsets.ndim))
    fastest = max(axes, key=lambda axis: (adjacent(axis), axis), default=0)
    return [axis for axis in axes if axis != fastest] + axes[fastest : fastest + 1]


def _elements_per_thread(offsets: np.ndarray, active: np.ndarray, itemsize: int) -> int:
    """The most, a power of two, that are adjacent, aligned and masked alike."""
    best, size = 1, 2
    along = offsets.shape[-1] if offsets.ndim else 1
    while size * itemsize <= MOST_THREAD_BYTES and along % size == 0:
        at, on = offsets.reshape(-1, size), active.reshape(-1, size)
        alike = (on == on[:, :1]).all()
        at = at[on[:, 0]]
        together = (at == at[:, :1] + itemsize * np.arange(size)).all()
        aligned = (at[:, 0] % (size * itemsize) == 0).all()
        if not (alike and together and aligned):
            break
        best, size = size, size * 2
    return best


def _cut(array: np.ndarray, axis: int, first: int | None, end: int | None) -> np.ndarray:
    return array[(slice(None),) * axis + (slice(first, end),)]
