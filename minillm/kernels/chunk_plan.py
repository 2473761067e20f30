"""FlashInfer's plan: how long the pieces are into which all sequences' keys are cut.

A piece of work is one tile of queries of one request with one chunk of its keys. Short chunks give
more pieces to share out evenly, but there must be a program (CTA) for each at once. So the plan is
the smallest chunk whose work fits, found by binary search (FlashInfer, Ye et al. 2025, section
3.3.1): one length for all requests, so that a long one is cut and a short one is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Work:
    """One query tile of one request with keys [begin, end)."""

    request: int
    tile: int  # of the request's queries
    begin: int
    end: int


def num_pieces(query_lens: np.ndarray, kv_lens: np.ndarray, block_q: int, chunk_size: int) -> int:
    """Σ ceil(query_len / block_q) · ceil(kv_len / chunk_size), pieces of work per KV head."""
    chunks = np.maximum(1, -(-kv_lens // chunk_size))  # without keys there is zeros to write
    return int((-(-query_lens // block_q) * chunks).sum())


def smallest_chunk(
    query_lens: np.ndarray,
    kv_lens: np.ndarray,
    *,
    block_q: int,
    max_pieces: int,
    min_chunk: int = 1,
) -> int:
    """The smallest chunk size, at least `min_chunk` and in the unit of `kv_lens` (tokens, or blocks
    to cut CSR tables between blocks), with at most `max_pieces` pieces (CTAs that the device holds,
    over KV heads). Where even whole sequences are more than that: the longest sequence's length,
    which cuts nothing."""
    low, high = min_chunk, max(min_chunk, int(kv_lens.max(initial=1)))
    while low < high:
        middle = (low + high) // 2
        if num_pieces(query_lens, kv_lens, block_q, middle) <= max_pieces:
            high = middle
        else:
            low = middle + 1
    return low


def work_list(
    query_lens: np.ndarray, kv_lens: np.ndarray, block_q: int, chunk_size: int
) -> list[Work]:
    """All the pieces, a request's tiles in order, a tile's chunks in order."""
    return [
        Work(request, tile, begin, min(begin + chunk_size, int(keys)))
        for request, (queries, keys) in enumerate(zip(query_lens, kv_lens, strict=True))
        for tile in range(-(-int(queries) // block_q))
        for begin in range(0, max(1, int(keys)), chunk_size)
    ]
