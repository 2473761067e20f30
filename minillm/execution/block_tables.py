"""Block tables of a batch as one array, kept from step to step.

A decode's table stays as it is for `block_size` steps, and comparing two lists of numbers is some
ten times as fast as making an array of one. With 256 sequences of 843 tokens each, preparing a
batch took 1.07 ms, most of it for tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class BlockTables:
    """Remembers what stands in each row; a table in another row than before is written anew."""

    def __init__(self) -> None:
        self._array = np.zeros((0, 0), np.int64)
        self._rows: list[list[int]] = []

    def array(self, tables: Sequence[Sequence[int]], width: int) -> np.ndarray:
        """[len(tables), width] int64, the caller's own: the first `width` blocks of each table,
        padded with anything."""
        longest = max(width, max(map(len, tables)))
        if len(tables) > self._array.shape[0] or longest > self._array.shape[1]:
            height = max(len(tables), self._array.shape[0])
            self._array = np.zeros((height, longest + longest // 8), np.int64)
            self._rows.clear()
        rows = self._rows
        for i, table in enumerate(tables):
            if i < len(rows) and rows[i] == table:
                continue
            self._array[i, : len(table)] = table
            rows[i : i + 1] = [list(table)]
        return self._array[: len(tables), :width].copy()
