"""A mutated kernel has another X-ray, in just the way it was mutated. `test_interpreted.py` runs
this file."""

from __future__ import annotations

from pathlib import Path

import msgspec
from watched import mutant, program, watched

from minillm.xray import Case, XRay
from minillm.xray.reading import accesses, attention, blocks_read, slots_read

TABLE = (7, 2, 9, 4, 0, 6)
CASE = Case(seq_lens=(22,), block_tables=(TABLE,), tile_rows=16, tile_keys=16)


def blocks_by_load(xray: XRay, head: int = 0) -> list[list[int]]:
    loads = accesses(program(xray, 0, head, 0), "k_cache")
    return [[box[0][0] for box in access.boxes] for access in loads]


def test_the_kernel_itself():
    assert blocks_by_load(watched(CASE)) == [[7, 2, 9, 4], [0, 6]]


def test_a_skipped_block_is_not_seen(tmp_path: Path):
    wrong = "(at < end) & (at // BLOCK_SIZE != 5)"
    kernel = mutant(tmp_path, "(at >= begin) & (at < end)", wrong)
    assert blocks_by_load(watched(CASE, kernel)) == [[7, 2, 9, 4], [0]]


def test_skipped_tiles_are_not_seen(tmp_path: Path):
    kernel = mutant(tmp_path, "range(full_begin, full_end, TILE)", "range(TILE, full_end, TILE)")
    assert blocks_by_load(watched(CASE, kernel)) == [[0, 6]]
    kernel = mutant(tmp_path, "range(num_masked)", "range(num_masked - 1)")
    assert blocks_by_load(watched(CASE, kernel)) == [[7, 2, 9, 4]]


def test_another_tile_size(tmp_path: Path):
    kernel = mutant(tmp_path, "TILE=tiles.keys", "TILE=tiles.keys // 2")
    assert blocks_by_load(watched(CASE, kernel)) == [[7, 2], [9, 4], [0, 6]]
    assert attention(watched(CASE, kernel)).arguments["TILE"] == 8
    wide = watched(msgspec.structs.replace(CASE, tile_keys=32))
    assert blocks_by_load(wide) == [list(TABLE)]


def test_a_wrong_head(tmp_path: Path):
    kernel = mutant(tmp_path, "k_ptr + kv_head * k_strides", "k_ptr + (1 - kv_head) * k_strides")
    xray = watched(CASE, kernel)
    for head in range(2):
        one = program(xray, 0, head, 0)
        assert {h for _, _, h in slots_read(xray, one)} == {1 - head}
        assert {h for _, _, h in slots_read(xray, one, "v_cache")} == {head}


def test_reading_past_the_sequence(tmp_path: Path):
    kernel = mutant(tmp_path, "(at >= begin) & (at < end)", "(at < end + 1)")
    before, after = watched(CASE), watched(CASE, kernel)
    more = slots_read(after, program(after, 0, 0, 0)) - slots_read(before, program(before, 0, 0, 0))
    assert more == {(6, 2, 0)}  # position 22, the first that is not in use


def test_reading_backwards(tmp_path: Path):
    wrong = "end - 1 - start - tl.arange(0, TILE)"
    kernel = mutant(tmp_path, "start + tl.arange(0, TILE)", wrong)
    case = msgspec.structs.replace(CASE, seq_lens=(16,))  # one whole tile
    assert blocks_by_load(watched(case, kernel)) == [[4, 9, 2, 7]]
    assert blocks_by_load(watched(case)) == [[7, 2, 9, 4]]


def test_leaving_the_cache_is_seen_and_survived(tmp_path: Path):
    """The table's last entry names no block: whoever follows it leaves the cache."""
    kernel = mutant(tmp_path, "at // BLOCK_SIZE, inside, 0)", "at // BLOCK_SIZE + 1, inside, 0)")
    xray = watched(CASE, kernel)
    one = program(xray, 0, 0, 0)
    assert blocks_read(xray, one) == (7, 2, 9, 4, 6)
    assert [access.outside for access in accesses(one, "k_cache")] == [0, 2 * 32]


def test_no_causal_skipping(tmp_path: Path):
    case = Case(seq_lens=(32,), query_lens=(16,), tile_rows=16, tile_keys=16)
    kernel = mutant(tmp_path, "first_position + BLOCK_Q, seq_len", "first_position + 1000, seq_len")
    first = [
        len(slots_read(x, program(x, 0, 0, 0))) for x in (watched(case), watched(case, kernel))
    ]
    assert first == [24, 32]


def test_a_forgotten_store(tmp_path: Path):
    kernel = mutant(
        tmp_path, "out_mask = row_mask[:, None]", "out_mask = (row_mask & (head % 2 < 1))[:, None]"
    )
    xray = watched(CASE, kernel)
    stores = [accesses(program(xray, 0, head, 0), "out", "store")[0].boxes for head in range(2)]
    assert stores == [(((0, 1), (h, h + 1), (0, 1), (0, 32)),) for h in (0, 2)]
