"""What the shipped kernels do to memory. `test_interpreted.py` runs this file."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watched import computing, program, watched

from minillm.kernels.simple_attention import simple_attention
from minillm.kernels.triton_kv_write import write_kv
from minillm.xray import Case, XRay, XRayError
from minillm.xray.csr import csr_attention
from minillm.xray.file import decode, encode
from minillm.xray.inputs import inputs
from minillm.xray.reading import (
    accesses,
    attention,
    blocks_read,
    bytes_loaded,
    bytes_moved,
    bytes_needed,
    readers,
    rows,
    slots_read,
    tensor,
)

TABLES = ((7, 2, 9), (4, 0))
DECODES = Case(seq_lens=(9, 6), block_tables=TABLES, tile_rows=16, tile_keys=16)
CHUNK = Case(seq_lens=(40,), query_lens=(24,), tile_rows=16, tile_keys=16)


def all_slots(xray: XRay, name: str = "k_cache") -> set[tuple[int, int, int]]:
    return {slot for p in attention(xray).programs for slot in slots_read(xray, p, name)}


def visible_slots(case: Case) -> set[tuple[int, int, int]]:
    heads = range(case.num_kv_heads)
    pairs = [pair for b in range(len(case.seq_lens)) for pair in case.visible_slots(b)]
    return {(block, slot, head) for block, slot in pairs for head in heads}


def test_blocks_are_read_in_the_order_of_the_block_table():
    xray = watched(DECODES)
    assert attention(xray).grid == (2, 2, 1)
    for sequence, table in enumerate(TABLES):
        for head in range(2):
            one = program(xray, sequence, head, 0)
            assert blocks_read(xray, one) == blocks_read(xray, one, "v_cache") == table
            assert {h for _, _, h in slots_read(xray, one)} == {head}


def test_every_access_of_a_decode_in_order():
    """float16 of 32: a row of K is 64 bytes, four threads of 16 bytes, two sectors."""
    xray = watched(DECODES)
    one = program(xray, 0, 1, 0)
    told = [(a.op, a.tensor) for a in one.accesses]
    assert told[-5:] == [
        ("load", "q"),
        ("load", "block_tables"),
        ("load", "k_cache"),
        ("load", "v_cache"),
        ("store", "out"),
    ]
    assert {name for _, name in told[:-5]} == {"query_start_loc", "seq_lens"}
    k = accesses(one, "k_cache")[0]
    assert k.boxes == (
        ((7, 8), (0, 4), (1, 2), (0, 32)),
        ((2, 3), (0, 4), (1, 2), (0, 32)),
        ((9, 10), (0, 1), (1, 2), (0, 32)),
    )
    assert (k.lanes, k.width, k.bytes, k.thread_bytes) == (9 * 32, 16 * 32, 9 * 64, 16)
    assert (k.requests, k.sectors, k.lines) == (2, 9 * 2, 9)
    assert k.warp[:5] == tuple(7 * 512 + at for at in (64, 80, 96, 112, 64 + 128))
    site = attention(xray).sites[k.site]
    assert site.lines[0].function == "_paged_attention"
    assert "k_ptr" in site.source
    assert "tl.load(" in site.lines[-1].source
    assert accesses(one, "block_tables")[0].boxes == (((0, 1), (0, 3)),)
    assert accesses(one, "out", "store")[0].boxes == (((0, 1), (2, 4), (0, 1), (0, 32)),)


def test_programs_compute_their_own_queries_and_heads():
    xray = watched(Case(seq_lens=(5, 9), query_lens=(1, 3), tile_rows=16))
    assert rows(xray, program(xray, 0, 0, 0)) == ((0, 0), (0, 1))
    assert rows(xray, program(xray, 1, 1, 0)) == tuple((t, h) for t in (1, 2, 3) for h in (2, 3))


@settings(max_examples=5)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 30)), min_size=1, max_size=3),
    st.sampled_from([1, 2, 8]),
    st.sampled_from([(2, 2), (4, 2), (5, 1)]),
    st.sampled_from([None, 1, 5]),
    st.sampled_from([None, 2]),
    st.sampled_from(["NHD", "HND", "packed"]),
    st.sampled_from([16, 32]),
)
def test_every_visible_slot_is_read_and_none_beyond(
    lengths: list[tuple[int, int]],
    block_size: int,
    heads: tuple[int, int],
    window: int | None,
    num_splits: int | None,
    layout: str,
    tile_keys: int,
):
    case = Case(
        seq_lens=tuple(new + context for new, context in lengths),
        query_lens=tuple(new for new, _ in lengths),
        block_size=block_size,
        num_heads=heads[0],
        num_kv_heads=heads[1],
        head_dim=8,
        sliding_window=window,
        num_splits=num_splits,
        layout=layout,
        tile_rows=16,
        tile_keys=tile_keys,
    )
    xray = watched(case)
    assert all_slots(xray) == all_slots(xray, "v_cache") == visible_slots(case)
    assert not any(a.outside for p in attention(xray).programs for a in p.accesses)
    assert decode(encode(xray)) == xray


def test_a_window_spares_the_blocks_before_it():
    xray = watched(Case(seq_lens=(16,), block_tables=((5, 3, 1, 0),), sliding_window=5))
    assert blocks_read(xray, program(xray, 0, 0, 0)) == (1, 0)
    assert {s for b, s, _ in slots_read(xray, program(xray, 0, 0, 0)) if b == 1} == {3}


def test_causal_tiles_are_skipped():
    """Queries 16 to 39 in tiles of 8: each reads the keys up to its last query."""
    xray = watched(CHUNK)
    loads = [len(accesses(p, "k_cache")) for p in computing(attention(xray)) if p.id[1] == 0]
    seen = [len(slots_read(xray, p)) for p in computing(attention(xray)) if p.id[1] == 0]
    assert (loads, seen) == ([2, 2, 3], [24, 32, 40])


@pytest.mark.parametrize(("num_heads", "tiles"), [(2, 1), (4, 1), (16, 1)])
def test_blocks_are_read_once_per_kv_head(num_heads: int, tiles: int):
    """GQA packed: however many query heads share a KV head, one program serves them all."""
    case = Case(seq_lens=(20, 9), num_heads=num_heads, num_kv_heads=2)
    xray = watched(case)
    assert all(len(by) == 1 for by in readers(xray, attention(xray)).values())
    assert bytes_loaded(attention(xray)) == bytes_needed(xray)


def test_the_simple_kernel_reads_once_per_query_head():
    """… and every query anew, one block per iteration."""
    case = Case(seq_lens=(9, 6), block_tables=TABLES, num_heads=8, num_kv_heads=2)
    xray = watched(case, simple_attention)
    assert attention(xray).grid == (2, 8, 1)
    for one in attention(xray).programs:
        assert [len(a.boxes) for a in accesses(one, "k_cache")] == [1] * len(TABLES[one.id[0]])
        assert blocks_read(xray, one) == TABLES[one.id[0]]
        assert {head for _, _, head in slots_read(xray, one)} == {one.id[1] // 4}
    assert bytes_loaded(attention(xray)) == 4 * bytes_needed(xray)
    fast = watched(case)
    assert all_slots(fast) == all_slots(xray)


def test_sequences_that_share_a_block_both_read_it():
    xray = watched(Case(seq_lens=(8, 7), block_tables=((3, 1), (3, 2))))
    shared = {block: len(by) for (block, head), by in readers(xray, attention(xray)).items()}
    assert shared == {3: 2, 1: 1, 2: 1}
    assert bytes_needed(xray) == 2 * (4 + 4 + 3) * 2 * 32 * 2


def test_splits_share_the_keys_and_are_merged():
    table = ((8, 7, 6, 5, 4, 3, 2, 1, 0),)
    case = Case(seq_lens=(34,), block_tables=table, num_splits=3, tile_rows=16, tile_keys=16)
    xray = watched(case)
    attend, merge = xray.launches
    assert (attend.grid, merge.grid) == ((1, 2, 3), (4, 1, 1))
    shares = [blocks_read(xray, program(xray, 0, 0, split)) for split in range(3)]
    assert shares == [(8, 7, 6, 5), (4, 3, 2, 1), (0,)]  # a tile each
    # What the parts wrote is what the merge reads: one row of three parts per query head.
    assert merge.tensors["parts_ptr"] == attend.tensors["out_ptr"] == "out"
    for row, one in enumerate(merge.programs):
        assert accesses(one, "out")[0].boxes == (((0, 1), (row, row + 1), (0, 3), (0, 32)),)


def test_head_major_layout_packs_a_heads_rows_into_lines():
    """A row of 64 bytes: in NHD the other head lies beside it in its line, in HND the next slot."""
    both = {name: watched(msgspec.structs.replace(DECODES, layout=name)) for name in ("NHD", "HND")}
    assert tensor(both["HND"], "k_cache").axes == ("block", "head", "slot", "dim")
    first = {name: accesses(program(xray, 0, 0, 0), "k_cache")[0] for name, xray in both.items()}
    assert blocks_read(both["HND"], program(both["HND"], 0, 0, 0)) == (7, 2, 9)
    assert first["NHD"].sectors == first["HND"].sectors == 18
    assert (first["NHD"].lines, first["HND"].lines) == (9, 2 + 2 + 1)
    assert bytes_moved(attention(both["NHD"])) == bytes_moved(attention(both["HND"]))


def test_the_packed_layout_spreads_a_row_over_its_block():
    """16 bytes of each of a block's slots lie together, and of V one element."""
    xray = watched(msgspec.structs.replace(DECODES, layout="packed"))
    one = program(xray, 0, 1, 0)
    k, v = accesses(one, "k_cache")[0], accesses(one, "v_cache")[0]
    assert tensor(xray, "k_cache").shape[1:] == (2, 32 // 8, 4, 8)
    assert k.boxes[0] == ((7, 8), (1, 2), (0, 4), (0, 4), (0, 8))
    assert v.boxes[0] == ((7, 8), (1, 2), (0, 32), (0, 4))
    assert blocks_read(xray, one) == blocks_read(xray, one, "v_cache") == TABLES[0]
    assert (k.thread_bytes, k.lines) == (16, 2 + 2 + 2)  # of the last block every piece
    assert v.thread_bytes < 16


def test_fp8_halves_a_rows_bytes_and_is_scaled_once_per_program():
    """A row of 32 bytes, two threads of 16: one sector, where float16 takes two."""
    xray = watched(msgspec.structs.replace(DECODES, kv_cache_dtype="fp8"))
    cache = tensor(xray, "k_cache")
    assert (cache.dtype, cache.itemsize, cache.axes[0]) == ("float8_e4m3fn", 1, "block")
    one = program(xray, 0, 1, 0)
    k = accesses(one, "k_cache")[0]
    assert blocks_read(xray, one) == blocks_read(xray, one, "v_cache") == TABLES[0]
    assert (k.bytes, k.thread_bytes, k.requests, k.sectors) == (9 * 32, 16, 1, 9)
    for scale in ("k_scale", "v_scale"):
        assert [a.boxes for a in accesses(one, scale)] == [(((1, 2),),)]  # of its KV head
    assert bytes_loaded(attention(xray)) == bytes_needed(xray) == 2 * (9 + 6) * 2 * 32


@pytest.mark.parametrize("layout", ["NHD", "HND", "packed"])
def test_unused_slots_of_an_fp8_cache_hold_nan_and_spoil_nothing(layout: str):
    case = Case(seq_lens=(9, 6), query_lens=(4, 1), kv_cache_dtype="fp8", layout=layout)
    xray = watched(case)
    assert all_slots(xray) == all_slots(xray, "v_cache") == visible_slots(case)
    numbers = [n for p in computing(attention(xray)) for v in p.values for n in v.numbers]
    assert numbers
    assert not any(math.isnan(number) for number in numbers)
    held = inputs(case)["k_cache"].tensor.float()
    assert int(held.isnan().sum()) == held.numel() - (9 + 6) * 2 * 32


def test_page_tables_without_padding_are_read_from_where_a_sequence_begins():
    plain, xray = watched(DECODES), watched(DECODES, csr_attention)
    assert tensor(xray, "kv_indices").shape == (5,)  # the padded tables are 2 × 4
    assert not any(each.name == "block_tables" for each in xray.tensors)
    for sequence, (first, end) in enumerate([(0, 3), (3, 5)]):
        one, padded = program(xray, sequence, 1, 0), program(plain, sequence, 1, 0)
        assert accesses(one, "kv_indptr")[0].boxes == (((sequence, sequence + 1),),)
        assert accesses(one, "kv_indices")[0].boxes == (((first, end),),)
        assert blocks_read(xray, one) == blocks_read(plain, padded) == TABLES[sequence]
        assert [v.numbers for v in one.values] == [v.numbers for v in padded.values]


def test_writing_an_fp8_cache_takes_every_heads_scale():
    xray = watched(Case(seq_lens=(9, 6), kv_cache_dtype="fp8"), write_kv)
    for one in xray.launches[0].programs:
        assert (
            accesses(one, "k_scale")[0].boxes == accesses(one, "v_scale")[0].boxes == (((0, 2),),)
        )
        assert [a.bytes for a in accesses(one, "k_cache", "store")] == [2 * 32]


def test_writing_goes_to_the_slots_of_the_new_tokens():
    case = Case(seq_lens=(9, 6), query_lens=(1, 3), block_tables=TABLES)
    xray = watched(case, write_kv)
    (launch,) = xray.launches
    for cache in ("k_cache", "v_cache"):
        stored = [accesses(one, cache)[0] for one in launch.programs]
        assert {access.op for access in stored} == {"store"}
        places = [(a.boxes[0][0][0], a.boxes[0][1][0]) for a in stored]
        assert places == [(9, 0), (4, 3), (0, 0), (0, 1)]
        assert all(a.boxes[0][2:] == ((0, 2), (0, 32)) for a in stored)


def test_spare_programs_touch_no_query_key_or_value():
    xray = watched(Case(seq_lens=(0, 6), query_lens=(0, 5), tile_rows=16))
    spare = [p for p in attention(xray).programs if p not in computing(attention(xray))]
    assert spare
    names = {access.tensor for one in spare for access in one.accesses}
    assert names <= {"query_start_loc"}


def test_the_same_case_gives_the_same_bytes():
    assert encode(watched(CHUNK)) == encode(watched(CHUNK))


def test_launches_say_their_tile_sizes_and_tensors():
    launch = attention(watched(DECODES))
    told = launch.arguments
    assert launch.kernel == "_paged_attention"
    assert (told["TILE"], told["BLOCK_M"], told["BLOCK_SIZE"], told["GROUP"]) == (16, 16, 4, 2)
    assert launch.tensors["k_ptr"] == "k_cache"


def test_what_a_kernel_does_not_know_is_refused():
    with pytest.raises(XRayError, match="has no parameter 'tiles'"):
        watched(CHUNK, simple_attention)
    with pytest.raises(XRayError, match="has no parameter 'k_scale'"):
        watched(Case(seq_lens=(3,), kv_cache_dtype="fp8"), simple_attention)
    with pytest.raises(XRayError, match="parameter 'banana', which X-rays do not give"):
        watched(DECODES, lambda q, banana: None)
    with pytest.raises(XRayError, match="launched no kernel"):
        watched(Case(seq_lens=(3,)), lambda q: None)
