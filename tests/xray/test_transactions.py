"""What warps would ask of memory, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from minillm.xray.transactions import count_transactions


def count(offsets: np.ndarray, itemsize: int, active: np.ndarray | None = None):
    active = np.ones(offsets.shape, bool) if active is None else active
    return count_transactions(offsets, active, itemsize)


def test_adjacent_elements_go_sixteen_bytes_to_a_thread():
    """256 float32: 64 threads, two warps of 512 bytes."""
    found = count(np.arange(256) * 4, 4)
    assert (found.requests, found.sectors, found.lines, found.thread_bytes) == (2, 32, 8, 16)
    assert found.first_warp == tuple(range(0, 512, 16))


def test_a_stride_costs_a_sector_each():
    found = count(np.arange(64) * 256, 4)
    assert (found.requests, found.sectors, found.lines, found.thread_bytes) == (2, 64, 64, 4)


def test_one_element_for_all_costs_one_sector():
    found = count(np.full(32, 8), 8)
    assert (found.requests, found.sectors, found.lines) == (1, 1, 1)


def test_what_is_not_aligned_is_cut():
    """From byte 4 on, threads cannot take 8 bytes at once; the last element is in a new sector."""
    found = count(np.arange(8) * 4 + 4, 4)
    assert (found.thread_bytes, found.sectors, found.lines) == (4, 2, 1)
    assert count(np.arange(8) * 4 + 8, 4).thread_bytes == 8


def test_masked_lanes_cost_nothing():
    offsets, active = np.arange(256) * 4, np.arange(256) >= 128
    found = count(offsets, 4, active)
    assert (found.requests, found.sectors, found.lines) == (1, 16, 4)
    assert found.first_warp[0] == 512
    nothing = count(offsets, 4, np.zeros(256, bool))
    assert (nothing.requests, nothing.sectors, nothing.lines, nothing.first_warp) == (0, 0, 0, ())


def test_a_mask_within_a_thread_makes_threads_smaller():
    offsets, active = np.arange(32) * 2, np.arange(32) < 20
    assert count(offsets, 2, active).thread_bytes == 8
    assert count(offsets, 2, active).first_warp == (0, 8, 16, 24, 32, -1, -1, -1)


def test_two_requests_for_a_sector_count_twice():
    offsets = np.concatenate((np.full(32, 0), np.full(32, 4)))
    assert count(offsets, 4).sectors == 2


@pytest.mark.parametrize("transposed", [False, True])
def test_the_contiguous_axis_is_the_fastest(transposed: bool):
    tile = np.arange(16)[:, None] * 128 + np.arange(8)[None, :] * 4  # 16 rows of 32 bytes
    tile = tile.T if transposed else tile
    found = count(tile, 4)
    assert found.first_warp[:3] == (0, 16, 128)
    assert (found.requests, found.sectors, found.lines, found.thread_bytes) == (1, 16, 16, 16)
