"""Swap: to CPU memory and back, each block copied once, and nothing lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from kv_cache.cache_steps import compute, contiguous, fork, paged, request, start, write

from minillm.events import Free, SwappedIn, SwappedOut
from minillm.kv_cache import KVCache
from minillm.moves import BlockMoves
from minillm.request import Request


def swap_out(kv: KVCache, r: Request) -> list[tuple[int, int]]:
    """Swap `r` out in a step of its own; returns what is copied."""
    assert kv.swap_out(r)
    assert kv.is_swapped_out(r)
    kv.check()
    return kv.take_moves().swap_out


def swap_in(kv: KVCache, r: Request) -> BlockMoves:
    """Admit `r` again in a step of its own; returns the copies."""
    assert kv.allocate(r, r.num_tokens, kv.find_prefix(r))
    assert not kv.is_swapped_out(r)
    kv.check()
    moves = kv.take_moves()
    kv.check()
    return moves


@pytest.mark.parametrize("make", [lambda: paged(caching=False, cpu=8), lambda: contiguous(cpu=8)])
def test_there_and_back(make: Any) -> None:
    kv = make()
    r = start(kv, request("0", [1] * 10, max_tokens=2))
    table = list(kv.block_table(r))
    kv.log.clear()
    out = swap_out(kv, r)
    assert [device for device, _ in out] == table[:3]
    assert kv.log == [SwappedOut("0", tuple(out), tuple(cpu for _, cpu in out))]
    assert kv.num_free_blocks == kv.num_blocks
    assert kv.block_table(r) == []
    kv.log.clear()
    back = swap_in(kv, r).swap_in
    assert [cpu for cpu, _ in back] == [cpu for _, cpu in out]
    assert [device for _, device in back] == kv.block_table(r)[:3]
    assert kv.log[-1] == SwappedIn("0", tuple(back))
    assert kv.swap is not None
    assert kv.swap.pool.num_free == 8


def test_only_what_was_computed_is_saved() -> None:
    kv = contiguous(cpu=8)
    r = request("0", [1] * 10, max_tokens=6)
    assert kv.allocate(r, 10)
    assert len(kv.block_table(r)) == 4
    assert not kv.swap_out(r)  # nothing yet
    compute(kv, r, 5)
    assert len(swap_out(kv, r)) == 2
    assert len(swap_in(kv, r).swap_in) == 2
    assert len(kv.block_table(r)) == 4


def test_without_swap_space_nothing_is_swapped() -> None:
    kv = paged()
    r = start(kv, request("0", [1] * 10))
    assert not kv.swap_out(r)
    assert not kv.is_swapped_out(r)


@pytest.mark.parametrize("caching", [True, False])
def test_a_full_cpu_pool_refuses_and_changes_nothing(caching: bool) -> None:
    kv = paged(cpu=4, caching=caching)
    first, second = start(kv, request("0", [1] * 10)), start(kv, request("1", [2] * 6))
    swap_out(kv, first)
    table = list(kv.block_table(second))
    kv.log.clear()
    assert not kv.swap_out(second)  # two blocks, one is free
    assert (kv.log, kv.block_table(second), bool(kv.moves)) == ([], table, False)
    kv.check()
    kv.free(first)
    kv.take_moves()
    assert kv.swap_out(second)


def test_two_with_a_common_beginning_save_it_once() -> None:
    kv = paged(num_blocks=12, cpu=5)
    first = start(kv, request("0", [*range(8), 50, 51]))
    second = start(kv, request("1", [*range(8), 60, 61]))
    assert kv.block_table(first)[:2] == kv.block_table(second)[:2]
    kv.log.clear()
    assert len(swap_out(kv, first)) == 3
    assert len(swap_out(kv, second)) == 1  # its own last block
    one, two = (event.cpu_blocks for event in kv.log if isinstance(event, SwappedOut))
    assert one[:2] == two[:2]
    assert kv.swap is not None
    assert kv.swap.pool.ref_counts[one[0]] == 2
    assert kv.swap.pool.num_free == 1
    kv.free(first)
    kv.take_moves()
    assert len(kv.swap.table("1")) == 3  # the other one's copy stays


def test_both_in_one_step_save_it_once() -> None:
    kv = paged(num_blocks=12, cpu=4)
    pair = [start(kv, request(str(n), [*range(8), 50 + n])) for n in range(2)]
    assert all(kv.swap_out(r) for r in pair)
    assert len(kv.take_moves().swap_out) == 4
    kv.check()


def test_what_was_saved_before_is_not_copied_again() -> None:
    kv = paged(num_blocks=8, cpu=8)
    r = start(kv, request("0", list(range(9))))
    assert len(swap_out(kv, r)) == 3
    assert [cpu for cpu, _ in swap_in(kv, r).swap_in] != []  # the last, partly full block
    compute(kv, r, 9)
    assert write(kv, r, 9)
    compute(kv, r, 10)
    assert len(swap_out(kv, r)) == 1  # two full blocks are still there, by content


def test_what_is_still_cached_is_taken_again_and_not_copied() -> None:
    kv = paged(num_blocks=8, cpu=8)
    r = start(kv, request("0", list(range(10))))
    table = list(kv.block_table(r))
    swap_out(kv, r)
    assert kv.find_prefix(r).blocks == tuple(table[:2])
    ((cpu, device),) = swap_in(kv, r).swap_in
    assert kv.block_table(r) == [*table[:2], device]
    assert device == kv.block_table(r)[2]
    assert kv.log[-1] == SwappedIn("0", ((cpu, device),))


def test_all_of_its_own_full_blocks_are_taken_again() -> None:
    """One that computes its last token was sampled from already: nothing need be left over."""
    kv = paged(num_blocks=8, cpu=8)
    r = start(kv, request("0", list(range(8))))
    assert write(kv, r, 8)
    swap_out(kv, r)
    assert len(kv.find_prefix(r).blocks) == 2  # of a new request it would be one
    assert not swap_in(kv, r).swap_in
    assert isinstance(kv.log[-1], SwappedIn)
    assert len(kv.block_table(r)) == 3


def test_what_was_evicted_meanwhile_comes_back_from_the_cpu() -> None:
    kv = paged(num_blocks=4, cpu=8)
    r = start(kv, request("0", list(range(10))))
    swap_out(kv, r)
    other = start(kv, request("1", [9] * 13))  # the whole pool
    kv.free(other)
    kv.take_moves()
    assert len(swap_in(kv, r).swap_in) == 3
    compute(kv, r, 10)
    assert kv.find_prefix(request("2", list(range(10)))).blocks == tuple(kv.block_table(r)[:2])


def test_cpu_blocks_that_a_step_reads_are_not_written_in_it() -> None:
    kv = paged(num_blocks=8, caching=False, cpu=3)
    first, second = start(kv, request("0", [1] * 10)), start(kv, request("1", [2] * 10))
    swap_out(kv, first)
    assert kv.allocate(first, 10)  # coming back, in the same step
    assert not kv.swap_out(second)  # its copy would overwrite what is being read
    kv.check()
    assert len(kv.take_moves().swap_in) == 3
    assert kv.swap_out(second)


def test_what_is_on_its_way_in_cannot_leave_in_the_same_step() -> None:
    kv = paged(num_blocks=8, caching=False, cpu=8)
    r = start(kv, request("0", [1] * 10))
    swap_out(kv, r)
    assert kv.allocate(r, 10)
    assert not kv.swap_out(r)
    kv.free(r)  # its blocks are given up: nothing is moved into them any more
    assert not kv.take_moves()
    kv.check()


def test_freeing_one_that_is_swapped_out() -> None:
    kv = paged(num_blocks=8, caching=False, cpu=3)
    r = start(kv, request("0", [1] * 10))
    swap_out(kv, r)
    kv.log.clear()
    kv.free(r)
    assert kv.log == [Free("0")]
    assert not kv.is_swapped_out(r)
    kv.take_moves()
    kv.check()
    assert kv.swap is not None
    assert kv.swap.pool.num_free == 3


def test_room_for_known_content_is_counted_once() -> None:
    """Content that is findable but unowned is free space too: it cannot be both."""
    kv = paged(num_blocks=12, cpu=3)
    r = start(kv, request("0", list(range(9))))
    swap_out(kv, r)
    swap_in(kv, r)
    kv.free(r)
    assert kv.swap is not None
    assert kv.swap.pool.num_free == 3  # two of them hold findable content
    longer = start(kv, request("1", list(range(13))))
    assert not kv.swap_out(longer)  # two known, two new, three in all
    kv.check()
    fits = start(kv, request("2", list(range(12))))
    assert len(swap_out(kv, fits)) == 1


def test_when_the_copies_fail_all_who_needed_them_are_named() -> None:
    kv = paged(num_blocks=16, cpu=16)
    pair = [start(kv, request(str(n), [*range(8), 50 + n])) for n in range(2)]
    back = start(kv, request("2", [7] * 10))
    swap_out(kv, back)
    kv.free(start(kv, request("3", [6] * 40)))  # evicts what was cached of it
    parent = start(kv, request("4", [5] * 6))
    bystander = start(kv, request("5", [4] * 5))
    fork(kv, parent, "4.1")
    assert write(kv, parent, 1)  # a copy
    assert kv.allocate(back, 10)
    assert all(kv.swap_out(r) for r in pair)
    moves = kv.take_moves()
    assert moves.swap_out
    assert moves.copies
    assert moves.swap_in
    assert kv.lost(moves) == {"0", "1", "2", "4"}
    assert bystander.request_id not in kv.lost(moves)
    for r in pair:
        kv.free(r)
    again = start(kv, request("6", [*range(8), 70]))
    assert len(swap_out(kv, again)) == 3  # what was never copied is not taken for known
    kv.check()
