"""The batch that an X-ray is taken of: lengths, heads, and where the blocks lie."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

ITEMSIZE = {"float32": 4, "float16": 2, "bfloat16": 2}  # bytes
KV_CACHE_DTYPES = ("auto", "fp8")
LAYOUTS = ("NHD", "HND", "packed")
PACK_BYTES = 16
MOST_SCORES = 2**14  # (query, head, key) triples: the simplest kernel loads K once for each
MOST_ELEMENTS = 2**22  # of the K cache


class XRayError(ValueError):
    """An X-ray that cannot be taken, read or written; the message says why and what to do."""


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """B sequences over a paged KV cache. Lengths are tokens.

    * `seq_lens`: all tokens of each sequence; `query_lens`: how many of them are new, at the end
      (by default one: decodes).
    * `num_kv_heads`: `num_heads` / `num_kv_heads` query heads share one KV head.
    * `kv_cache_dtype`: "auto" is `dtype`, "fp8" e4m3 with a scale per KV head.
    * `layout`: of the caches, "NHD", "HND" or "packed": `minillm.kernels.layouts`.
    * `sliding_window`: keys that a query sees, itself included; None: all.
    * `num_splits`: programs that share one sequence's keys; None: as the kernel chooses.
    * `tile_rows`, `tile_keys`: the rows (query, head) of a program's tile and its keys per
      iteration, powers of two; None: as the kernel chooses.
    * `block_tables`: the physical blocks of each sequence, one or more per `block_size` tokens;
      by default drawn with `seed`, as are the contents of q, K and V, from `num_blocks` (by
      default two more than are needed).

    Raises XRayError for what cannot be, and for what is too much to interpret.
    """

    seq_lens: tuple[int, ...]
    query_lens: tuple[int, ...] = ()
    block_size: int = 4
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 32
    dtype: str = "float16"
    kv_cache_dtype: str = "auto"
    layout: str = "NHD"
    sliding_window: int | None = None
    num_splits: int | None = None
    tile_rows: int | None = None
    tile_keys: int | None = None
    num_blocks: int = 0
    block_tables: tuple[tuple[int, ...], ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_shape()
        self._check_lengths()
        needed = [-(-length // self.block_size) for length in self.seq_lens]
        if not self.num_blocks:
            most = max((block for row in self.block_tables for block in row), default=-1)
            force_setattr(self, "num_blocks", max(sum(needed) + 2, most + 1))
        if self.block_tables:
            force_setattr(self, "block_tables", tuple(tuple(row) for row in self.block_tables))
        self._check_pool(needed)
        if not self.block_tables:
            drawn = random.Random(self.seed).sample(range(self.num_blocks), sum(needed))
            ends = list(accumulate(needed, initial=0))
            tables = tuple(tuple(drawn[a:b]) for a, b in pairwise(ends))
            force_setattr(self, "block_tables", tables)
        self._check_tables(needed)

    @property
    def group(self) -> int:
        """Query heads per KV head."""
        return self.num_heads // self.num_kv_heads

    @property
    def kv_itemsize(self) -> int:
        """Bytes of an element of the caches."""
        return 1 if self.kv_cache_dtype == "fp8" else ITEMSIZE[self.dtype]

    @property
    def query_start_loc(self) -> tuple[int, ...]:
        """Where each sequence's rows begin in the packed batch, and the end: B + 1 numbers."""
        return tuple(accumulate(self.query_lens, initial=0))

    def sequence_of(self, token: int) -> int:
        """The sequence that row `token` of the packed batch belongs to."""
        return sum(start <= token for start in self.query_start_loc[1:])

    def first_visible(self, sequence: int) -> int:
        """The first position that any new token of `sequence` sees."""
        if self.sliding_window is None:
            return 0
        first_query = self.seq_lens[sequence] - self.query_lens[sequence]
        return max(0, first_query - self.sliding_window + 1)

    def visible_slots(self, sequence: int) -> tuple[tuple[int, int], ...]:
        """(block, slot) of every position that a new token of `sequence` sees, in order."""
        if not self.query_lens[sequence]:
            return ()
        positions = range(self.first_visible(sequence), self.seq_lens[sequence])
        table = self.block_tables[sequence]
        return tuple((table[p // self.block_size], p % self.block_size) for p in positions)

    def _check_shape(self) -> None:
        _power_of_two("block_size", self.block_size, 1, 256)
        _whole("num_heads", self.num_heads, 1, 64)
        _whole("num_kv_heads", self.num_kv_heads, 1, 64)
        if self.num_heads % self.num_kv_heads:
            raise XRayError(
                f"num_heads must be a multiple of num_kv_heads, got {self.num_heads} and "
                f"{self.num_kv_heads}"
            )
        _whole("head_dim", self.head_dim, 1, 256)
        _one_of("dtype", self.dtype, tuple(ITEMSIZE))
        _one_of("kv_cache_dtype", self.kv_cache_dtype, KV_CACHE_DTYPES)
        _one_of("layout", self.layout, LAYOUTS)
        pack = PACK_BYTES // self.kv_itemsize
        if self.layout == "packed" and self.head_dim % pack:
            stored = self.dtype if self.kv_cache_dtype == "auto" else self.kv_cache_dtype
            raise XRayError(
                f"layout 'packed' takes a head_dim that is a multiple of {pack} for {stored}, "
                f"got {self.head_dim}"
            )
        if self.sliding_window is not None:
            _whole("sliding_window", self.sliding_window, 1, 2**31 - 1)
        if self.num_splits is not None:
            _whole("num_splits", self.num_splits, 1, 16)
        if self.tile_rows is not None:
            _power_of_two("tile_rows", self.tile_rows, 16, 256)
            if self.tile_rows < self.group:
                raise XRayError(f"tile_rows is {self.tile_rows}, but {self.group} heads share one")
        if self.tile_keys is not None:
            _power_of_two("tile_keys", self.tile_keys, 16, 256)
        _whole("seed", self.seed, 0, 2**31 - 1)

    def _check_lengths(self) -> None:
        for name in ("seq_lens", "query_lens"):
            lengths = getattr(self, name)
            if not isinstance(lengths, Sequence) or isinstance(lengths, str):
                raise XRayError(f"{name} must be a list of whole numbers, got {lengths!r}")
            for length in lengths:
                _whole(f"each of {name}", length, 0, 2**31 - 1)
            force_setattr(self, name, tuple(lengths))
        if not self.seq_lens:
            raise XRayError("seq_lens is empty: give the length of at least one sequence")
        if not self.query_lens:
            force_setattr(self, "query_lens", tuple(min(1, n) for n in self.seq_lens))
        if len(self.query_lens) != len(self.seq_lens):
            raise XRayError(
                f"{len(self.query_lens)} query_lens for {len(self.seq_lens)} seq_lens: give one "
                "for each sequence"
            )
        for new, length in zip(self.query_lens, self.seq_lens, strict=True):
            if new > length:
                raise XRayError(f"a sequence of {length} tokens cannot have {new} new ones")
        if not any(self.query_lens):
            raise XRayError("no sequence has a new token: there is nothing to compute")
        pairs = zip(self.query_lens, self.seq_lens, strict=True)
        scores = self.num_heads * sum(new * length for new, length in pairs)
        if scores > MOST_SCORES:
            raise XRayError(
                f"too large to interpret: {scores:,} (query, head, key) triples, at most "
                f"{MOST_SCORES:,}; take fewer or shorter sequences, new tokens or heads"
            )

    def _check_pool(self, needed: list[int]) -> None:
        _whole("num_blocks", self.num_blocks, 1, 2**31 - 1)
        elements = self.num_blocks * self.block_size * self.num_kv_heads * self.head_dim
        if elements > MOST_ELEMENTS:
            raise XRayError(
                f"too large to interpret: the K cache has {elements:,} elements, at most "
                f"{MOST_ELEMENTS:,}; take fewer or smaller blocks, fewer KV heads or dimensions"
            )
        if not self.block_tables and sum(needed) > self.num_blocks:
            raise XRayError(f"{sum(needed)} blocks are needed, num_blocks is {self.num_blocks}")

    def _check_tables(self, needed: list[int]) -> None:
        if len(self.block_tables) != len(needed):
            raise XRayError(f"{len(self.block_tables)} block_tables for {len(needed)} seq_lens")
        for row, count in zip(self.block_tables, needed, strict=True):
            for block in row:
                _whole("each block of block_tables", block, 0, self.num_blocks - 1)
            if len(row) < count:
                raise XRayError(f"a block table has {len(row)} blocks where {count} are needed")


def _whole(name: str, value: Any, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise XRayError(f"{name} must be a whole number from {least:,} to {most:,}, got {value!r}")


def _power_of_two(name: str, value: Any, least: int, most: int) -> None:
    _whole(name, value, least, most)
    if value & (value - 1):
        raise XRayError(f"{name} must be a power of two, got {value}")


def _one_of(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise XRayError(f"unknown {name} {value!r}. Known: {', '.join(known)}.")


# Two decodes and a chunk of a prompt; tiles as small as a matrix product takes, to see several.
EXAMPLE = Case(seq_lens=(40, 22, 20), query_lens=(1, 1, 12), tile_rows=16, tile_keys=16)
