"""From the addresses that a kernel used back to tensors, blocks and slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minillm.xray.records import Box, Tensor


@dataclass(frozen=True, slots=True)
class Region:
    """The memory of one tensor."""

    tensor: Tensor
    start: int  # address
    end: int


class AddressMap:
    """Every tensor that kernels have been given. Holds on to them, so that no address is used by
    two."""

    def __init__(self) -> None:
        self.regions: list[Region] = []
        self._by_storage: dict[int, Region] = {}
        self._held: list[Any] = []

    def add(self, name: str, tensor: Any, axes: Sequence[str] | None = None) -> str:
        """Make `tensor` known, and return its name: that of the first view of its memory."""
        storage = tensor.untyped_storage()
        known = self._by_storage.get(storage.data_ptr())
        if known is not None:
            return known.tensor.name
        if not tensor.ndim:
            tensor = tensor.view(1)
        taken = [region.tensor.name for region in self.regions]
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        start = tensor.data_ptr()
        region = Region(
            Tensor(
                name=unique,
                dtype=str(tensor.dtype).removeprefix("torch."),
                itemsize=tensor.element_size(),
                axes=tuple(axes or (f"axis {i}" for i in range(tensor.ndim))),
                shape=tuple(tensor.shape),
                strides=tuple(tensor.stride()),
            ),
            start,
            storage.data_ptr() + storage.nbytes(),
        )
        self._by_storage[storage.data_ptr()] = region
        self.regions.append(region)
        self._held.append(tensor)
        return unique

    def find(self, addresses: np.ndarray) -> Region | None:
        """The tensor that most of `addresses` fall into, None where none does."""
        counts = [
            int(np.count_nonzero((addresses >= r.start) & (addresses < r.end)))
            for r in self.regions
        ]
        most = max(counts, default=0)
        return self.regions[counts.index(most)] if most else None


def indices(tensor: Tensor, elements: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where flat `elements` (int64 [n]) stand in `tensor`: [n, axes], and which do so at all."""
    found = np.zeros((len(elements), len(tensor.shape)), np.int64)
    rest = elements
    for axis in sorted(range(len(tensor.shape)), key=lambda axis: -tensor.strides[axis]):
        if tensor.strides[axis] > 0 and tensor.shape[axis] > 1:
            found[:, axis], rest = np.divmod(rest, tensor.strides[axis])
    inside = (rest == 0) & (elements >= 0) & (found < np.array(tensor.shape)).all(axis=1)
    return found, inside


def boxes(tensor: Tensor, touched: np.ndarray) -> tuple[Box, ...]:
    """The distinct rows of `touched` ([n, axes]), joined where they are neighbours along an axis.

    In the order they come; of a cache block after block, and within one in the order of its axes:
    blocks are never joined.
    """
    if not len(touched):
        return ()
    _, order = np.unique(touched, axis=0, return_index=True)
    first = touched[np.sort(order)]
    axes = list(range(len(tensor.axes)))
    if "block" in tensor.axes:
        axes.remove(tensor.axes.index("block"))
        first = _block_after_block(first, tensor.axes.index("block"))
    end = first + 1
    for axis in reversed(axes):
        others = np.arange(first.shape[1]) != axis
        same = (first[1:, others] == first[:-1, others]).all(1)
        same &= (end[1:, others] == end[:-1, others]).all(1)
        joined = same & (first[1:, axis] == end[:-1, axis])
        heads = np.flatnonzero(np.append(True, ~joined))
        tails = np.append(heads[1:], len(first)) - 1
        last = end[tails, axis]
        first, end = first[heads], end[heads]
        end[:, axis] = last
    pairs = np.stack((first, end), axis=2).tolist()
    return tuple(tuple((a, b) for a, b in box) for box in pairs)


def _block_after_block(rows: np.ndarray, axis: int) -> np.ndarray:
    """`rows` by the first that is of the same block, then by their axes."""
    _, first, block = np.unique(rows[:, axis], return_index=True, return_inverse=True)
    return rows[np.lexsort((*rows.T[::-1], first[block]))]
