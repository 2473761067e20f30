"""The paged KV cache by itself: books, prefix sharing, eviction."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minillm.events import Alloc, Cached, Event, Evicted, Free
from minillm.kv_cache import PagedKVCache
from minillm.request import Request, SamplingParams


def request(name: str, tokens: list[int]) -> Request:
    return Request(
        request_id=name,
        number=int(name),
        num_prompt_tokens=len(tokens),
        sampling=SamplingParams(),
        max_tokens=50,
        arrival_time=0,
        prompt_token_ids=tokens,
    )


def cache(num_blocks: int = 8, block_size: int = 4, caching: bool = True) -> PagedKVCache:
    log: list[Event] = []
    return PagedKVCache(num_blocks, block_size, caching, log)


def compute(kv: PagedKVCache, r: Request, num_tokens: int) -> None:
    r.num_computed_tokens = num_tokens
    kv.commit(r)


def test_blocks_are_taken_as_the_sequence_grows() -> None:
    kv = cache()
    r = request("0", list(range(9)))
    assert kv.allocate(r, 4)
    assert len(kv.block_table(r)) == 1
    assert kv.allocate(r, 4)
    assert len(kv.block_table(r)) == 1
    assert kv.allocate(r, 5)
    assert len(kv.block_table(r)) == 2
    assert kv.num_free_blocks == 6


def test_an_allocation_that_does_not_fit_changes_nothing() -> None:
    kv = cache(num_blocks=2)
    r = request("0", list(range(20)))
    assert kv.allocate(r, 8)
    kv.log.clear()
    assert not kv.allocate(r, 9)
    assert kv.blocks_needed(r, 9) == 1
    assert kv.log == []
    assert len(kv.block_table(r)) == 2
    kv.check()


def test_a_second_request_shares_the_full_blocks_of_an_equal_prefix() -> None:
    kv = cache()
    first, second = request("0", [1, 2, 3, 4, 5, 6, 7, 8, 9]), request("1", [1, 2, 3, 4, 5, 6, 0])
    assert kv.allocate(first, 9)
    compute(kv, first, 9)
    hit = kv.find_prefix(second)
    assert hit.blocks == (kv.block_table(first)[0],)  # block two differs in its third token
    assert kv.blocks_needed(second, 7, hit) == 1  # the shared block leaves no free one
    assert kv.allocate(second, 7, hit)
    assert kv.block_table(second)[0] == kv.block_table(first)[0]
    assert kv.pool.ref_counts[kv.block_table(first)[0]] == 2
    kv.free(first)
    kv.check()
    assert kv.find_prefix(second).blocks == (kv.block_table(second)[0],)


def test_equal_tokens_after_a_different_beginning_are_not_shared() -> None:
    kv = cache()
    first, second = request("0", [1, 1, 1, 1, 5, 5, 5, 5, 9]), request("1", [2] * 4 + [5] * 5)
    assert kv.allocate(first, 9)
    compute(kv, first, 9)
    assert kv.find_prefix(second).blocks == ()


def test_one_token_is_always_left_to_compute() -> None:
    kv = cache()
    first, second = request("0", [1, 2, 3, 4, 5, 6, 7, 8]), request("1", [1, 2, 3, 4, 5, 6, 7, 8])
    assert kv.allocate(first, 8)
    compute(kv, first, 8)
    assert len(kv.find_prefix(second).blocks) == 1  # not two: the eighth token must be sampled from


def test_only_computed_blocks_are_findable() -> None:
    kv = cache()
    first, second = request("0", [1] * 9), request("1", [1] * 9)
    assert kv.allocate(first, 9)
    compute(kv, first, 3)
    assert kv.find_prefix(second).blocks == ()
    compute(kv, first, 4)
    assert len(kv.find_prefix(second).blocks) == 1


def test_free_blocks_are_used_before_cached_ones_and_the_oldest_is_evicted_first() -> None:
    kv = cache(num_blocks=4)
    old, new, big = request("0", [1] * 5), request("1", [2] * 5), request("2", [3] * 20)
    for r in (old, new):
        assert kv.allocate(r, 4)
        compute(kv, r, 4)
    kv.free(old)
    kv.free(new)
    assert kv.num_free_blocks == 4
    assert kv.allocate(big, 8)  # the two that were never used
    assert not any(isinstance(event, Evicted) for event in kv.log)
    assert kv.allocate(big, 12)
    assert kv.find_prefix(old).blocks == ()
    assert len(kv.find_prefix(new).blocks) == 1
    kv.check()


def test_the_end_of_a_prefix_is_evicted_before_its_beginning() -> None:
    kv = cache(num_blocks=3)
    first = request("0", [1] * 13)
    assert kv.allocate(first, 12)
    compute(kv, first, 12)
    kv.free(first)
    assert kv.allocate(request("1", [2] * 4), 4)
    assert len(kv.find_prefix(first).blocks) == 2


def test_caching_off_shares_nothing() -> None:
    kv = cache(caching=False)
    first = request("0", [1] * 9)
    assert kv.allocate(first, 9)
    compute(kv, first, 9)
    assert kv.find_prefix(request("1", [1] * 9)).blocks == ()
    assert not any(isinstance(event, Cached) for event in kv.log)


def test_a_simulated_prompt_shares_only_by_content_ids() -> None:
    kv = cache()
    plain = Request("0", 0, 9, SamplingParams(), 5, 0)
    named = [Request(str(n), n, 9, SamplingParams(), 5, 0, content_ids=("a", "b")) for n in (1, 2)]
    for r in (plain, named[0]):
        assert kv.allocate(r, 9)
        compute(kv, r, 9)
    assert kv.find_prefix(Request("3", 3, 9, SamplingParams(), 5, 0)).blocks == ()
    assert len(kv.find_prefix(named[1]).blocks) == 2


def test_a_simulated_request_finds_its_own_blocks_again() -> None:
    """As a real one does after a preemption; what is not named is nobody else's."""
    kv = cache(num_blocks=16)
    first, other = (
        Request(str(n), n, 9, SamplingParams(), 9, 0, content_ids=("a",)) for n in range(2)
    )
    assert kv.allocate(first, 14)
    first.num_output_tokens = 5
    compute(kv, first, 13)
    table = list(kv.block_table(first))
    kv.free(first)
    assert kv.find_prefix(first).blocks == tuple(table[:3])
    assert kv.find_prefix(other).blocks == tuple(table[:1])
    fork = Request("0.1", 0, 9, SamplingParams(), 9, 0, content_ids=("a",), fork=1)
    fork.num_output_tokens = 5
    assert kv.find_prefix(fork).blocks == tuple(table[:2])  # the prompt, not the answer


def test_double_free_is_noticed() -> None:
    kv = cache()
    r = request("0", [1] * 5)
    assert kv.allocate(r, 5)
    table = list(kv.block_table(r))
    kv.free(r)
    kv.free(r)  # a request without blocks has nothing to free
    with pytest.raises(AssertionError, match="freed more often"):
        kv.pool.release(table)


def test_check_names_a_lost_block() -> None:
    kv = cache()
    r = request("0", [1] * 5)
    assert kv.allocate(r, 5)
    kv.pool.ref_counts[kv.block_table(r)[0]] = 0
    with pytest.raises(AssertionError, match="block 0: 0 references, 1 owners"):
        kv.check()


class CacheMachine(RuleBasedStateMachine):
    """Any order of allocate, compute, free: books balance, and the event log tells the tables."""

    @initialize(num_blocks=st.integers(1, 12), block_size=st.integers(1, 5), caching=st.booleans())
    def start(self, num_blocks: int, block_size: int, caching: bool) -> None:
        self.kv = cache(num_blocks, block_size, caching)
        self.live: dict[str, Request] = {}
        self.count = 0
        self.tables: dict[str, list[int]] = {}

    @rule(tokens=st.lists(st.integers(0, 1), min_size=1, max_size=12))
    def admit(self, tokens: list[int]) -> None:
        r = request(str(self.count), tokens)
        self.count += 1
        hit = self.kv.find_prefix(r)
        needed = self.kv.blocks_needed(r, len(tokens), hit)
        fits = needed <= self.kv.num_free_blocks
        free = self.kv.num_free_blocks
        assert self.kv.allocate(r, len(tokens), hit) == fits
        if fits:
            assert self.kv.num_free_blocks == free - needed
            r.num_computed_tokens = len(hit.blocks) * self.kv.block_size
            self.live[r.request_id] = r

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def progress(self, data: st.DataObject) -> None:
        r = self.live[data.draw(st.sampled_from(sorted(self.live)))]
        if r.num_uncomputed_tokens:
            compute(self.kv, r, r.num_computed_tokens + 1)
        else:
            r.output_token_ids.append(data.draw(st.integers(0, 1)))
            r.num_output_tokens += 1
            if not self.kv.allocate(r, r.num_tokens):
                self.drop(r)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.drop(self.live[data.draw(st.sampled_from(sorted(self.live)))])

    def drop(self, r: Request) -> None:
        self.kv.free(r)
        del self.live[r.request_id]

    @invariant()
    def books_balance(self) -> None:
        if not hasattr(self, "kv"):
            return
        self.kv.check()
        for event in self.kv.log:
            if isinstance(event, Alloc):
                self.tables.setdefault(event.id, []).extend(event.blocks)
            elif isinstance(event, Free):
                del self.tables[event.id]
        self.kv.log.clear()
        assert self.tables == {name: self.kv.block_table(r) for name, r in self.live.items()}


TestCacheMachine: Any = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=60, deadline=None)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.integers(1, 6))
def test_a_hit_is_always_a_true_prefix(tokens: list[int], block_size: int) -> None:
    kv = cache(num_blocks=40, block_size=block_size)
    first = request("0", tokens)
    assert kv.allocate(first, len(tokens))
    compute(kv, first, len(tokens))
    second = request("1", [*tokens[: len(tokens) // 2], 9, *tokens])
    hit = kv.find_prefix(second)
    shared = len(hit.blocks) * block_size
    assert shared == len(tokens) // 2 // block_size * block_size
    assert list(hit.blocks) == kv.block_table(first)[: len(hit.blocks)]
