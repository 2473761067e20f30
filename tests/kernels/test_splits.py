"""Splits follow context length, batch and multiprocessors."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minillm.kernels.splits import MAX_SPLITS, MIN_SPLIT, PROGRAMS_PER_SM, choose_num_splits

SMS = 132


def splits(lens: list[int], kv_heads: int = 8, num_sms: int = SMS) -> int:
    return choose_num_splits(np.array(lens), kv_heads, num_sms)


def test_a_small_batch_of_long_contexts_is_split_until_the_device_is_full():
    assert splits([65536]) * 8 in range(SMS, SMS * PROGRAMS_PER_SM + 1)
    assert splits([4096] * 64) == 1
    assert splits([4096]) > splits([4096] * 8) > splits([4096] * 32) == 1
    assert splits([65536]) > splits([1024]) > splits([200]) == 1
    assert splits([65536], num_sms=16) < splits([65536])


def test_short_company_does_not_keep_a_long_sequence_whole():
    assert splits([65536] + [100] * 63) >= splits([65536]) // 2


@given(st.lists(st.integers(0, 10**6), max_size=9), st.integers(1, 32), st.integers(1, 200))
def test_no_part_of_the_longest_is_too_short(lens: list[int], kv_heads: int, num_sms: int):
    num_splits = choose_num_splits(np.array(lens, np.int64), kv_heads, num_sms)
    assert 1 <= num_splits <= MAX_SPLITS
    assert num_splits == 1 or max(lens) / num_splits >= MIN_SPLIT
