"""The buddy allocator by itself: runs never overlap, and halves are joined again."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minillm.kv_cache.buddy import BuddyAllocator, largest_run, power_of_two


def runs_of(buddies: BuddyAllocator) -> list[int]:
    """The lengths of all free runs, longest first."""
    found = [length for length, starts in buddies._free.items() for _ in starts]
    return sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("num_blocks", "runs"),
    [
        (1, [1]),
        (983, [512, 256, 128, 64, 16, 4, 2, 1]),
        (1024, [1024]),
        (15_728, [8192, 4096, 2048, 1024, 256, 64, 32, 16]),
    ],
)
def test_a_pool_begins_as_its_binary_decomposition(num_blocks: int, runs: list[int]) -> None:
    buddies = BuddyAllocator(num_blocks)
    assert runs_of(buddies) == runs
    assert sum(runs) == buddies.num_free == num_blocks
    assert buddies.largest_free == largest_run(num_blocks) == runs[0]
    buddies.check()


@pytest.mark.parametrize(("count", "power"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (129, 256)])
def test_powers_of_two(count: int, power: int) -> None:
    assert power_of_two(count) == power


def test_a_run_is_split_no_further_than_needed() -> None:
    buddies = BuddyAllocator(16)
    assert buddies.take(3) == 0
    assert runs_of(buddies) == [8, 4]
    assert buddies.take(4) == 4  # the buddy of the first, not half of the eight
    assert runs_of(buddies) == [8]
    assert buddies.take(9) is None
    buddies.release(0)
    assert buddies.take(8) == 8
    assert buddies.num_free == 4


def test_only_buddies_are_joined() -> None:
    buddies = BuddyAllocator(8)
    starts = [buddies.take(2) for _ in range(4)]
    assert starts == [0, 2, 4, 6]
    buddies.release(2)
    buddies.release(4)  # neighbours, but halves of different fours
    assert buddies.num_free == 4
    assert buddies.largest_free == 2
    assert buddies.take(3) is None
    buddies.release(6)
    assert buddies.largest_free == 4
    buddies.release(0)
    assert runs_of(buddies) == [8]


def test_the_pieces_of_a_pool_that_is_no_power_of_two_are_never_joined() -> None:
    buddies = BuddyAllocator(6)
    first, second = buddies.take(4), buddies.take(2)
    assert (first, second) == (0, 4)
    buddies.release(4)
    buddies.release(0)
    assert runs_of(buddies) == [4, 2]


def test_what_was_not_taken_cannot_be_released() -> None:
    buddies = BuddyAllocator(8)
    buddies.take(2)
    with pytest.raises(KeyError):
        buddies.release(2)


class BuddyMachine(RuleBasedStateMachine):
    @initialize(num_blocks=st.one_of(st.integers(1, 40), st.just(983)))
    def start(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self.buddies = BuddyAllocator(num_blocks)
        self.taken: dict[int, int] = {}

    @rule(count=st.integers(1, 40))
    def take(self, count: int) -> None:
        fits = power_of_two(count) <= self.buddies.largest_free
        start = self.buddies.take(count)
        assert (start is not None) == fits
        if start is not None:
            length = power_of_two(count)
            assert start % length == 0
            assert 0 <= start <= self.num_blocks - length
            for other, size in self.taken.items():
                assert start + length <= other or other + size <= start, "two runs overlap"
            self.taken[start] = length

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        start = data.draw(st.sampled_from(sorted(self.taken)))
        self.buddies.release(start)
        del self.taken[start]

    @invariant()
    def books_balance(self) -> None:
        if hasattr(self, "buddies"):
            self.buddies.check()
            assert self.buddies.num_free == self.num_blocks - sum(self.taken.values())

    def teardown(self) -> None:
        if hasattr(self, "buddies"):
            for start in list(self.taken):
                self.buddies.release(start)
            assert runs_of(self.buddies) == runs_of(BuddyAllocator(self.num_blocks))


TestBuddyMachine: Any = BuddyMachine.TestCase
TestBuddyMachine.settings = settings(max_examples=100, deadline=None)


@given(st.integers(1, 300), st.lists(st.integers(1, 30), max_size=60), st.randoms())
def test_the_order_of_giving_back_does_not_matter(
    num_blocks: int, counts: list[int], random: Any
) -> None:
    buddies = BuddyAllocator(num_blocks)
    taken = [start for start in map(buddies.take, counts) if start is not None]
    random.shuffle(taken)
    for start in taken:
        buddies.release(start)
    assert runs_of(buddies) == runs_of(BuddyAllocator(num_blocks))
