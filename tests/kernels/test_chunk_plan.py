"""The plan step of FlashInfer (Ye et al. 2025, section 3.3.1): the smallest feasible chunk."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minillm.kernels.chunk_plan import num_pieces, smallest_chunk, work_list

batches = given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 5000)), min_size=1, max_size=12),
    st.sampled_from([1, 4, 16]),
    st.integers(1, 300),
    st.sampled_from([1, 128]),
)


@batches
def test_smallest_feasible_chunk(
    pairs: list[tuple[int, int]], block_q: int, max_pieces: int, min_chunk: int
):
    """On random lengths: one token less is infeasible, or the chunk is at its minimum."""
    queries, keys = np.array(pairs).T
    limits = {"block_q": block_q, "max_pieces": max_pieces, "min_chunk": min_chunk}
    chunk = smallest_chunk(queries, keys, **limits)
    uncut = max(min_chunk, int(keys.max()))
    if num_pieces(queries, keys, block_q, uncut) > max_pieces:
        assert chunk == max(uncut, 1)
        return
    assert num_pieces(queries, keys, block_q, chunk) <= max_pieces
    assert chunk == min_chunk or num_pieces(queries, keys, block_q, chunk - 1) > max_pieces


@batches
def test_the_work_is_every_key_of_every_tile_once(
    pairs: list[tuple[int, int]], block_q: int, max_pieces: int, min_chunk: int
):
    queries, keys = np.array(pairs).T
    limits = {"block_q": block_q, "max_pieces": max_pieces, "min_chunk": min_chunk}
    chunk = smallest_chunk(queries, keys, **limits)
    work = work_list(queries, keys, block_q, chunk)
    assert len(work) == num_pieces(queries, keys, block_q, chunk)
    for request, (query_len, kv_len) in enumerate(pairs):
        for tile in range(-(-query_len // block_q)):
            mine = [w for w in work if (w.request, w.tile) == (request, tile)]
            assert mine[0].begin == 0
            assert mine[-1].end == kv_len
            assert all(a.end == b.begin for a, b in pairwise(mine))
            assert all(w.end - w.begin <= chunk for w in mine)


def test_a_long_request_is_cut_and_short_ones_are_not():
    keys = np.array([65_536, 200, 150])
    chunk = smallest_chunk(np.ones(3, np.int64), keys, block_q=1, max_pieces=33)
    work = work_list(np.ones(3, np.int64), keys, 1, chunk)
    assert [sum(w.request == r for w in work) for r in range(3)] == [31, 1, 1]
