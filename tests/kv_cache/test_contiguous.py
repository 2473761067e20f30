"""One run per request: what is reserved, holes too short, and copies in place of sharing."""

from __future__ import annotations

import pytest
from fakes import fake_engine
from kv_cache.cache_steps import compute, contiguous, fork, request, start, write

from minillm.events import Alloc, Forked
from minillm.kv_cache.contiguous import reserved_tokens
from minillm.request import RequestRejected, SamplingParams


@pytest.mark.parametrize(
    ("reserve", "true_len", "slots"),
    [
        ("max", 25, 10 + 100 - 1),
        ("max", None, 10 + 100 - 1),
        ("pow2", 25, 10 + 32 - 1),
        ("pow2", 32, 10 + 32 - 1),
        ("pow2", 33, 10 + 64 - 1),
        ("pow2", 90, 10 + 100 - 1),  # 128 would be more than may be written
        ("oracle", 25, 10 + 25 - 1),
        ("oracle", 1, 10),
        ("oracle", 400, 10 + 100 - 1),
        ("oracle", None, 10 + 100 - 1),  # a model decides: there is no truth to know
        ("pow2", None, 10 + 100 - 1),
    ],
)
def test_what_is_reserved(reserve: str, true_len: int | None, slots: int) -> None:
    r = request("0", [1] * 10, max_tokens=100, true_output_len=true_len)
    assert reserved_tokens(r, reserve) == slots


def test_the_run_is_taken_at_once_and_never_grows() -> None:
    kv = contiguous(num_blocks=16, block_size=4)
    r = request("0", [1] * 6, max_tokens=12)  # 17 slots: 5 blocks of a run of 8
    assert kv.blocks_needed(r, 6) == 8
    assert kv.allocate(r, 1)
    assert kv.block_table(r) == [0, 1, 2, 3, 4]
    assert kv.num_free_blocks == 8
    assert kv.num_used_blocks == 5  # the other three of the run are nobody's
    compute(kv, r, 6)
    for token in range(11):
        assert kv.blocks_needed(r, r.num_tokens) == 0
        assert write(kv, r, token)
        compute(kv, r, r.num_tokens)
    assert kv.log == [Alloc("0", (0, 1, 2, 3, 4))]
    kv.check()
    kv.free(r)
    kv.check()
    assert kv.num_free_blocks == kv.largest_run == 16


def test_enough_blocks_are_free_but_no_run_is_long_enough() -> None:
    kv = contiguous(num_blocks=8, block_size=1)
    quarters = [request(str(n), [1], max_tokens=2) for n in range(4)]
    for r in quarters:
        assert kv.allocate(r, 1)
    kv.free(quarters[0])
    kv.free(quarters[2])
    big = request("9", [1] * 3, max_tokens=2)
    kv.log.clear()
    assert kv.blocks_needed(big, 3) == 4 <= kv.num_free_blocks
    assert kv.largest_run == 2
    assert not kv.allocate(big, 3)
    assert (kv.log, kv.block_table(big)) == ([], [])
    kv.check()
    kv.free(quarters[1])
    assert kv.allocate(big, 3)
    assert kv.block_table(big) == [0, 1, 2, 3]


def test_nothing_is_shared() -> None:
    kv = contiguous()
    first, second = (request(str(n), [1] * 12, max_tokens=4) for n in range(2))
    start(kv, first)
    assert kv.find_prefix(second).blocks == ()
    start(kv, second)
    assert set(kv.block_table(first)).isdisjoint(kv.block_table(second))
    kv.check()


def test_a_fork_gets_a_run_and_copies_of_what_was_computed() -> None:
    kv = contiguous(num_blocks=16, block_size=4)
    parent = start(kv, request("0", [1] * 6, max_tokens=8))
    kv.log.clear()
    child = fork(kv, parent, "0.1")
    mine, theirs = kv.block_table(parent), kv.block_table(child)
    assert len(mine) == len(theirs) == 4
    assert set(mine).isdisjoint(theirs)
    assert kv.log == [Forked("0", "0.1", ()), Alloc("0.1", tuple(theirs))]
    assert kv.take_moves().copies == list(zip(mine[:2], theirs[:2], strict=True))
    kv.check()
    kv.free(parent)
    kv.check()
    assert kv.block_table(child) == theirs


def test_a_fork_without_a_run_changes_nothing() -> None:
    kv = contiguous(num_blocks=4, block_size=4)
    parent = start(kv, request("0", [1] * 6, max_tokens=8))
    kv.log.clear()
    child = request("0.1", [1] * 6, max_tokens=8)
    assert not kv.fork(parent, child)
    assert kv.log == []
    assert not kv.moves
    kv.check()


def test_a_child_that_ends_before_its_copy_was_made_needs_none() -> None:
    kv = contiguous(num_blocks=16, block_size=4)
    parent = start(kv, request("0", [1] * 6, max_tokens=8))
    child = fork(kv, parent, "0.1")
    kv.free(child)
    assert not kv.take_moves()
    kv.check()


def test_at_the_door_the_longest_run_counts() -> None:
    engine = fake_engine("orca", kv_cache="contiguous", block_size=4, num_blocks=13)
    engine.add_request([1] * 20, SamplingParams(max_tokens=13))  # 32 slots: the run of 8
    with pytest.raises(RequestRejected, match=r"8 blocks in its longest run × 4 = 32 slots"):
        engine.add_request([1] * 20, SamplingParams(max_tokens=14))
