"""Block tables as arrays equal the lists, whatever changed since the step before."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.execution.block_tables import BlockTables

TABLES = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=5)


@settings(deadline=None)
@given(st.lists(TABLES, min_size=1, max_size=6))
def test_every_step_sees_its_own_tables(steps: list[list[list[int]]]):
    kept = BlockTables()
    for tables in steps:
        width = max(map(len, tables))
        array = kept.array(tables, width)
        assert array.shape == (len(tables), width)
        for row, table in zip(array, tables, strict=True):
            assert row[: len(table)].tolist() == table


def test_a_table_changed_in_place_is_seen_and_earlier_arrays_stay():
    kept, table = BlockTables(), [1, 2, 3]
    before = kept.array([table], 3)
    table[1] = 7
    table.append(8)
    assert kept.array([table], 4).tolist() == [[1, 7, 3, 8]]
    assert before.tolist() == [[1, 2, 3]]


def test_blocks_beyond_the_width_are_left_out():
    assert np.array_equal(BlockTables().array([[4, 5, 6], [7]], 1), [[4], [7]])
