"""The named cases: what each shows, at every block size."""

from __future__ import annotations

import pytest

from minillm.xray import EXAMPLE, bundled_xray
from minillm.xray.case import LAYOUTS
from minillm.xray.cases import CASES, PREFIX

SIZES = (1, 2, 4, 8, 16)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_a_case_has_its_lengths_at_every_block_size(name: str, size: int):
    case, other = CASES[name](size), CASES[name](4)
    assert case.block_size == size
    assert (case.seq_lens, case.query_lens) == (other.seq_lens, other.query_lens)


@pytest.mark.parametrize("size", SIZES)
def test_the_sequences_of_shared_have_their_first_blocks_and_no_others_in_common(size: int):
    alike = PREFIX // size
    tables = CASES["shared"](size).block_tables
    assert len({table[:alike] for table in tables}) == 1
    own = [block for table in tables for block in table[alike:]]
    assert len(set(own)) == len(own)
    assert not set(own) & set(tables[0][:alike])


def test_mixed_is_the_example_and_gqa_differs_from_decode_in_its_heads():
    assert CASES["mixed"](4) == EXAMPLE
    decode, gqa = CASES["decode"](4), CASES["gqa"](4)
    assert (decode.group, gqa.group) == (1, 4)
    assert decode.block_tables == gqa.block_tables


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CASES)
def test_each_comes_with_minillm_in_each_layout(name: str, layout: str):
    case = bundled_xray(name, layout).case
    assert case.layout == layout
    assert case.block_tables == CASES[name](4).block_tables
