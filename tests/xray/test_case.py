"""What a case may be, and what it fills in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from minillm.xray import EXAMPLE, Case, XRayError


def test_what_is_left_out_is_filled_in():
    case = Case(seq_lens=(9, 0, 4))
    assert case.query_lens == (1, 0, 1)
    assert case.num_blocks == 3 + 0 + 1 + 2
    assert [len(row) for row in case.block_tables] == [3, 0, 1]
    blocks = [block for row in case.block_tables for block in row]
    assert len(set(blocks)) == 4
    assert max(blocks) < case.num_blocks


def test_tables_follow_the_seed():
    assert Case(seq_lens=(40,)).block_tables == Case(seq_lens=(40,)).block_tables
    assert Case(seq_lens=(40,)).block_tables != Case(seq_lens=(40,), seed=1).block_tables


def test_given_tables_stay_and_make_the_pool_large_enough():
    case = Case(seq_lens=(5,), block_tables=((30, 2, 7),))
    assert (case.block_tables, case.num_blocks) == (((30, 2, 7),), 31)


def test_lists_do():
    given: Any = {"seq_lens": [5, 3], "block_tables": [[4, 1], [0]]}
    assert Case(**given) == Case(seq_lens=(5, 3), block_tables=((4, 1), (0,)))


def test_who_sees_what():
    case = Case(seq_lens=(6, 5), query_lens=(2, 1), block_tables=((9, 3), (0, 1)), sliding_window=3)
    assert [case.sequence_of(token) for token in range(3)] == [0, 0, 1]
    assert case.visible_slots(0) == ((9, 2), (9, 3), (3, 0), (3, 1))  # of queries 4 and 5
    assert case.visible_slots(1) == ((0, 2), (0, 3), (1, 0))
    assert Case(seq_lens=(6, 5), query_lens=(0, 1)).visible_slots(0) == ()


IMPOSSIBLE = [
    ({"seq_lens": ()}, "seq_lens is empty"),
    ({"seq_lens": 4}, "seq_lens must be a list"),
    ({"seq_lens": "94"}, "seq_lens must be a list"),
    ({"seq_lens": (4.5,)}, "each of seq_lens must be a whole number"),
    ({"seq_lens": (-1,)}, "each of seq_lens must be a whole number from 0"),
    ({"seq_lens": (True,)}, "each of seq_lens must be a whole number"),
    ({"seq_lens": (0,)}, "no sequence has a new token"),
    ({"seq_lens": (4,), "query_lens": (5,)}, "a sequence of 4 tokens cannot have 5 new ones"),
    ({"seq_lens": (4,), "query_lens": (1, 1)}, "2 query_lens for 1 seq_lens"),
    ({"seq_lens": (4,), "block_size": 3}, "block_size must be a power of two, got 3"),
    ({"seq_lens": (4,), "block_size": 0}, "block_size must be a whole number from 1 to 256"),
    ({"seq_lens": (4,), "num_heads": 5}, "num_heads must be a multiple of num_kv_heads"),
    ({"seq_lens": (4,), "head_dim": 257}, "head_dim must be a whole number from 1 to 256"),
    ({"seq_lens": (4,), "dtype": "float8"}, "unknown dtype 'float8'. Known: float32"),
    ({"seq_lens": (4,), "kv_cache_dtype": "int4"}, "unknown kv_cache_dtype 'int4'. Known: auto, f"),
    (
        {"seq_lens": (4,), "head_dim": 24, "layout": "packed", "kv_cache_dtype": "fp8"},
        "a head_dim that is a multiple of 16 for fp8, got 24",
    ),
    ({"seq_lens": (4,), "layout": "DHN"}, "unknown layout 'DHN'. Known: NHD, HND"),
    ({"seq_lens": (4,), "sliding_window": 0}, "sliding_window must be a whole number from 1"),
    ({"seq_lens": (4,), "num_splits": 17}, "num_splits must be a whole number from 1 to 16"),
    ({"seq_lens": (4,), "tile_keys": 24}, "tile_keys must be a power of two, got 24"),
    ({"seq_lens": (4,), "tile_rows": 8}, "tile_rows must be a whole number from 16 to 256"),
    ({"seq_lens": (4,), "num_heads": 64, "tile_rows": 16}, "tile_rows is 16, but 32 heads"),
    ({"seq_lens": (4,), "seed": -1}, "seed must be a whole number from 0"),
    ({"seq_lens": (9,), "num_blocks": 2}, "3 blocks are needed, num_blocks is 2"),
    ({"seq_lens": (9,), "block_tables": ((0, 1),)}, "a block table has 2 blocks where 3"),
    ({"seq_lens": (9,), "block_tables": ((0, 1, 2), (3,))}, "2 block_tables for 1 seq_lens"),
    ({"seq_lens": (9,), "num_blocks": 5, "block_tables": ((0, 1, 7),)}, "each block of block_t"),
    ({"seq_lens": (5000,)}, "too large to interpret: 20,000 .* at most 16,384"),
    ({"seq_lens": (4,), "num_blocks": 2**20}, "the K cache has .* elements, at most 4,194,304"),
]


@pytest.mark.parametrize(("fields", "why"), IMPOSSIBLE, ids=[why for _, why in IMPOSSIBLE])
def test_the_impossible_is_refused(fields: dict[str, Any], why: str):
    with pytest.raises(XRayError, match=why):
        Case(**fields)


def test_a_case_is_the_same_from_json():
    assert msgspec.json.decode(msgspec.json.encode(EXAMPLE), type=Case) == EXAMPLE
