"""How one batch's attention is cut into dense pieces. Made once per step, used by every layer.

Rows with one query (decodes) go to a kernel as they are, or are grouped by length, so that padding
at most doubles the work, and each group is one dense attention. Every other row (a prefill chunk)
is a piece of its own. A piece names the cache slots to gather. Slots past a sequence's end are
never touched, because they may hold anything: padding repeats the sequence's last slot and is
masked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from minillm.kernels.decode_attention import DecodeRows

SHORT = 64  # tokens: lengths below this are not worth a group of their own


@dataclass(frozen=True, slots=True)
class DecodeGroup:
    """B sequences with one query each. `mask` is None where nothing is padded."""

    tokens: torch.Tensor  # [B] int64, rows of the packed queries
    slots: torch.Tensor  # [B, L] int64
    mask: torch.Tensor | None  # [B, L] bool, True: attend


@dataclass(frozen=True, slots=True)
class PrefillChunk:
    """One sequence with several queries. `mask` is None where plain causality says it all."""

    start: int  # queries are tokens [start, end) of the packed batch
    end: int
    slots: torch.Tensor  # [L] int64
    mask: torch.Tensor | None  # [end - start, L] bool, True: attend


class AttentionPlan:
    """The pieces of one batch, made on first use for each sliding window (layers may differ): it
    counts the current token; None attends to everything before."""

    def __init__(
        self,
        block_tables: np.ndarray,
        seq_lens: np.ndarray,
        query_start_loc: np.ndarray,
        block_size: int,
        device: torch.device,
    ) -> None:
        """Host arrays, as in `paged_attention`."""
        self.block_tables = block_tables.astype(np.int64)
        self.seq_lens = seq_lens.astype(np.int64)
        self.starts = query_start_loc.astype(np.int64)
        self.block_size = block_size
        self.device = device
        query_lens = np.diff(self.starts)
        self._decodes = np.flatnonzero(query_lens == 1)
        self._prefills = np.flatnonzero(query_lens > 1)
        self._rows: dict[int | None, DecodeRows | None] = {}
        self._groups: dict[int | None, list[DecodeGroup]] = {}
        self._chunks: dict[int | None, list[PrefillChunk]] = {}

    def decode_rows(self, window: int | None) -> DecodeRows | None:
        """All decodes as they are; None where there are none."""
        if window not in self._rows:
            self._rows[window] = self._undivided(window) if len(self._decodes) else None
        return self._rows[window]

    def decode_groups(self, window: int | None) -> list[DecodeGroup]:
        """All decodes as dense attentions."""
        if window not in self._groups:
            self._groups[window] = [
                self._group(rows, window) for rows in self._by_length(self._decodes, window)
            ]
        return self._groups[window]

    def prefill_chunks(self, window: int | None) -> list[PrefillChunk]:
        """All that is not a decode."""
        if window not in self._chunks:
            self._chunks[window] = [self._chunk(int(row), window) for row in self._prefills]
        return self._chunks[window]

    @property
    def max_query_len(self) -> int:
        return int(np.diff(self.starts).max(initial=0))

    def keys_per_tile(self, block_q: int, window: int | None) -> np.ndarray:
        """How many keys the last query tile of each sequence sees; repeated for its other tiles.

        An upper bound for those, which see fewer. Tiles hold `block_q` queries.
        """
        query_lens = np.diff(self.starts)
        keys = self.seq_lens
        if window is not None:
            keys = np.minimum(keys, window + np.minimum(block_q, query_lens) - 1)
        return np.repeat(keys, -(-query_lens // block_q))

    def _by_length(self, rows: np.ndarray, window: int | None) -> list[np.ndarray]:
        if not len(rows):
            return []
        lens = self._visible(rows, window)
        order = np.argsort(-lens, kind="stable")
        groups: list[np.ndarray] = []
        first = 0
        while first < len(order):
            least = max(lens[order[first]] // 2, SHORT)
            if lens[order[first]] <= SHORT:
                least = 0
            end = first + int(np.count_nonzero(lens[order[first:]] >= least))
            groups.append(rows[np.sort(order[first:end])])
            first = end
        return groups

    def _visible(self, rows: np.ndarray, window: int | None) -> np.ndarray:
        lens = self.seq_lens[rows]
        return lens if window is None else np.minimum(lens, window)

    def _undivided(self, window: int | None) -> DecodeRows:
        rows = self._decodes
        end = self.seq_lens[rows]
        first = end - self._visible(rows, window)
        threads = torch.get_num_threads()
        return DecodeRows.of(self.block_tables[rows], self.starts[rows], first, end, threads)

    def _group(self, rows: np.ndarray, window: int | None) -> DecodeGroup:
        visible = self._visible(rows, window)
        longest = int(visible.max())
        offsets = np.arange(longest)
        last = self.seq_lens[rows] - 1
        positions = (last - visible + 1)[:, None] + offsets
        slots = self._slots(rows[:, None], np.minimum(positions, last[:, None]))
        mask = None if visible.min() == longest else offsets < visible[:, None]
        return DecodeGroup(
            self._to(self.starts[rows]), self._to(slots), None if mask is None else self._to(mask)
        )

    def _chunk(self, row: int, window: int | None) -> PrefillChunk:
        start, end = int(self.starts[row]), int(self.starts[row + 1])
        length = int(self.seq_lens[row])
        queries = np.arange(length - (end - start), length)
        first = 0 if window is None else max(0, int(queries[0]) - window + 1)
        keys = np.arange(first, length)
        mask = None
        if queries[0] > 0 or (window is not None and window < length):
            mask = keys <= queries[:, None]
            if window is not None:
                mask &= keys > queries[:, None] - window
        slots = self._to(self._slots(row, keys))
        return PrefillChunk(start, end, slots, None if mask is None else self._to(mask))

    def _slots(self, rows: np.ndarray | int, positions: np.ndarray) -> np.ndarray:
        blocks = self.block_tables[rows, positions // self.block_size]
        return blocks * self.block_size + positions % self.block_size

    def _to(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, device=self.device)


def plan_attention(
    block_tables: torch.Tensor,
    seq_lens: torch.Tensor,
    query_start_loc: torch.Tensor,
    block_size: int,
) -> AttentionPlan:
    """A plan from tensors, wherever they are; reads them back to the host."""
    return AttentionPlan(
        block_tables.cpu().numpy(),
        seq_lens.cpu().numpy(),
        query_start_loc.cpu().numpy(),
        block_size,
        block_tables.device,
    )
