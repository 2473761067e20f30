"""Forks: what is shared, who copies, and who may write in place."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from fakes import fake_engine
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from kv_cache.cache_steps import compute, fork, paged, request, start, write

from minillm.events import Copied, Forked
from minillm.kv_cache.token import TokenKVCache
from minillm.request import Request, SamplingParams


def counts(kv: Any, r: Request) -> list[int]:
    return [kv.pool.ref_counts[block] for block in kv.block_table(r)]


@pytest.mark.parametrize("caching", [True, False])
def test_a_fork_shares_every_block(caching: bool) -> None:
    kv = paged(caching=caching)
    parent = start(kv, request("0", list(range(10))))
    kv.log.clear()
    child = fork(kv, parent, "0.1")
    assert kv.block_table(child) == kv.block_table(parent)
    assert kv.block_table(child) is not kv.block_table(parent)
    assert counts(kv, parent) == [2, 2, 2]
    assert kv.num_free_blocks == 5
    assert kv.log == [Forked("0", "0.1", tuple(kv.block_table(parent)))]
    assert not kv.moves
    kv.check()


def test_only_what_was_computed_is_shared() -> None:
    kv = paged()
    parent = request("0", list(range(10)))
    assert kv.allocate(parent, 20)  # more than it has: reserved ahead
    compute(kv, parent, 10)
    child = fork(kv, parent, "0.1")
    assert kv.block_table(child) == kv.block_table(parent)[:3]
    assert counts(kv, parent) == [2, 2, 2, 1, 1]


@pytest.mark.parametrize("first", ["parent", "child"])
def test_whoever_writes_first_gets_a_copy_and_the_other_writes_in_place(first: str) -> None:
    kv = paged()
    parent = start(kv, request("0", list(range(10))))
    child = fork(kv, parent, "0.1")
    shared = list(kv.block_table(parent))
    writer, other = (parent, child) if first == "parent" else (child, parent)
    kv.log.clear()
    assert kv.blocks_needed(writer, 11) == 1
    assert write(kv, writer, 20)
    (mine,) = set(kv.block_table(writer)) - set(shared)
    assert kv.block_table(writer) == [*shared[:2], mine]
    assert kv.block_table(other) == shared
    assert kv.log == [Copied(writer.request_id, shared[2], mine)]
    assert kv.moves.copies == [(shared[2], mine)]
    kv.log.clear()
    assert kv.blocks_needed(other, 11) == 0
    assert write(kv, other, 21)
    assert kv.block_table(other) == shared
    assert kv.log == []
    assert counts(kv, parent) == counts(kv, child) == [2, 2, 1]
    kv.check()


def test_of_three_the_last_writes_in_place() -> None:
    kv = paged()
    parent = start(kv, request("0", list(range(10))))
    family = [parent, fork(kv, parent, "0.1"), fork(kv, parent, "0.2")]
    shared = kv.block_table(parent)[2]
    assert counts(kv, parent) == [3, 3, 3]
    for r in reversed(family):
        assert write(kv, r, 20)
    assert [kv.block_table(r)[2] == shared for r in family] == [True, False, False]
    assert len(kv.take_moves().copies) == 2
    for r in family:
        assert write(kv, r, 21)
    assert not kv.moves
    kv.check()


def test_nobody_copies_when_the_others_are_gone() -> None:
    kv = paged()
    parent = start(kv, request("0", list(range(10))))
    child = fork(kv, parent, "0.1")
    table = list(kv.block_table(child))
    kv.free(parent)
    assert counts(kv, child) == [1, 1, 1]
    assert write(kv, child, 20)
    assert kv.block_table(child) == table
    assert not kv.moves
    kv.check()


def test_full_blocks_are_shared_for_good() -> None:
    kv = paged()
    parent = start(kv, request("0", list(range(8))))
    child = fork(kv, parent, "0.1")
    for r in (parent, child):
        assert write(kv, r, 20 + r.fork)
    assert not kv.moves
    assert counts(kv, parent) == counts(kv, child) == [2, 2, 1]


def test_a_token_is_a_full_block_so_nothing_is_ever_copied() -> None:
    kv = TokenKVCache(30, False, [])
    parent = start(kv, request("0", list(range(10))))
    child = fork(kv, parent, "0.1")
    for r in (parent, child):
        assert write(kv, r, 20 + r.fork)
    assert counts(kv, child) == [2] * 10 + [1]
    assert not kv.moves


def test_without_a_block_for_the_copy_nothing_changes() -> None:
    kv = paged(num_blocks=3)
    parent = start(kv, request("0", list(range(10))))
    child = fork(kv, parent, "0.1")
    table = list(kv.block_table(parent))
    kv.log.clear()
    assert not write(kv, parent, 20)
    assert (kv.block_table(parent), kv.log, bool(kv.moves)) == (table, [], False)
    kv.check()
    kv.free(child)
    assert kv.allocate(parent, 11)


def test_a_copy_is_not_made_for_one_that_has_left() -> None:
    kv = paged()
    parent = start(kv, request("0", list(range(10))))
    child = fork(kv, parent, "0.1")
    assert write(kv, child, 20)
    kv.free(child)
    assert not kv.take_moves()
    assert counts(kv, parent) == [1, 1, 1]
    kv.check()


def test_what_both_write_alike_is_findable_once() -> None:
    kv = paged()
    parent = start(kv, request("0", list(range(10))))
    child = fork(kv, parent, "0.1")
    for r in (parent, child):
        for token in (10, 11):
            assert write(kv, r, token)
            compute(kv, r, r.num_tokens)
    assert kv.block_table(parent)[2] != kv.block_table(child)[2]
    again = request("1", list(range(13)))
    kept = (kv.block_table(parent)[2], kv.block_table(child)[2])
    assert kv.find_prefix(again).blocks[2] == kept[0]
    kv.free(parent)
    kv.free(child)
    kv.check()


def test_a_fork_that_was_swapped_out_comes_back_beside_its_parent() -> None:
    kv = paged(num_blocks=8, cpu=8, caching=False)
    parent = start(kv, request("0", list(range(10))))
    child = fork(kv, parent, "0.1")
    assert write(kv, child, 20)
    kv.take_moves()
    assert kv.swap_out(child)
    assert counts(kv, parent) == [1, 1, 1]
    kv.take_moves()
    assert kv.allocate(child, 11)
    assert set(kv.block_table(child)).isdisjoint(kv.block_table(parent))
    assert len(kv.take_moves().swap_in) == 3
    kv.check()


class ForkMachine(RuleBasedStateMachine):
    """Contents as strings: each block holds what was written to it, and everybody must read its
    own tokens back after any order of forks, writes, swaps and ends."""

    @initialize(
        block_size=st.integers(1, 4), caching=st.booleans(), cpu=st.sampled_from([0, 3, 20])
    )
    def start(self, block_size: int, caching: bool, cpu: int) -> None:
        self.kv = paged(16, block_size, caching, cpu)
        self.live: dict[str, Request] = {}
        self.memory: dict[int, list[int]] = {}
        self.cpu_memory: dict[int, list[int]] = {}
        self.count = 0

    def carry_out(self) -> None:
        moves = self.kv.take_moves()
        for source, target, pairs in (
            (self.memory, self.cpu_memory, moves.swap_out),
            (self.memory, self.memory, moves.copies),
            (self.cpu_memory, self.memory, moves.swap_in),
        ):
            contents = [list(source.get(old, [])) for old, _ in pairs]
            for (_, new), content in zip(pairs, contents, strict=True):
                target[new] = content

    def computed(self, r: Request, num_tokens: int) -> None:
        self.carry_out()
        size, table = self.kv.block_size, self.kv.block_table(r)
        for position in range(r.num_computed_tokens, num_tokens):
            block = self.memory.setdefault(table[position // size], [])
            block[position % size :] = [r.token_ids(position, position + 1)[0]]
        compute(self.kv, r, num_tokens)

    @rule(tokens=st.lists(st.integers(0, 1), min_size=1, max_size=9))
    def add(self, tokens: list[int]) -> None:
        r = request(str(self.count), tokens)
        self.count += 1
        hit = self.kv.find_prefix(r)
        if self.kv.allocate(r, r.num_tokens, hit):
            r.num_computed_tokens = len(hit.blocks) * self.kv.block_size
            self.live[r.request_id] = r
            self.computed(r, r.num_tokens)

    def one(self, data: st.DataObject, *, out: bool = False) -> Request | None:
        names = [n for n, r in self.live.items() if self.kv.is_swapped_out(r) == out]
        return self.live[data.draw(st.sampled_from(names))] if names else None

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        parent = self.one(data)
        if parent is None or parent.num_uncomputed_tokens:
            return
        self.carry_out()  # an engine forks when the step that computed the parent is over
        child = request(f"{self.count}.1", parent.token_ids(0, parent.num_tokens))
        self.count += 1
        child.num_computed_tokens = parent.num_computed_tokens
        assert self.kv.fork(parent, child)
        self.live[child.request_id] = child

    @precondition(lambda self: self.live)
    @rule(data=st.data(), token=st.integers(0, 1))
    def write(self, data: st.DataObject, token: int) -> None:
        r = self.one(data)
        if r is None:
            return
        if write(self.kv, r, token):
            self.computed(r, r.num_tokens)
        else:
            self.leave(r)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), out=st.booleans())
    def end(self, data: st.DataObject, out: bool) -> None:
        if (r := self.one(data, out=out)) is not None:
            self.leave(r)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def swap_out(self, data: st.DataObject) -> None:
        if (r := self.one(data)) is not None and self.kv.swap_out(r):
            assert self.kv.is_swapped_out(r)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def swap_in(self, data: st.DataObject) -> None:
        r = self.one(data, out=True)
        if r is not None:
            self.kv.allocate(r, r.num_tokens, self.kv.find_prefix(r))

    @rule()
    def step(self) -> None:
        self.carry_out()

    def leave(self, r: Request) -> None:
        self.kv.free(r)
        del self.live[r.request_id]

    @invariant()
    def books_balance(self) -> None:
        if hasattr(self, "kv"):
            self.kv.check()

    @invariant()
    def everybody_reads_its_own_tokens(self) -> None:
        if not hasattr(self, "kv") or self.kv.moves:
            return
        size = self.kv.block_size
        for r in self.live.values():
            if self.kv.is_swapped_out(r):
                table, memory = self.kv.swap.table(r.request_id), self.cpu_memory  # type: ignore[union-attr]
            else:
                table, memory = self.kv.block_table(r), self.memory
            for position, token in enumerate(r.token_ids(0, r.num_computed_tokens)):
                assert memory[table[position // size]][position % size] == token, r.request_id

    def teardown(self) -> None:
        if hasattr(self, "kv"):
            for r in list(self.live.values()):
                self.leave(r)
            self.carry_out()
            self.kv.check()
            assert self.kv.num_free_blocks == 16


TestForkMachine: Any = ForkMachine.TestCase
TestForkMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_forks_that_end_without_writing_are_forgotten() -> None:
    engine = fake_engine(block_size=4, num_blocks=16, model_max_len=64)
    engine.add_request([1, 2, 3], SamplingParams(n=2, temperature=0, max_tokens=1))
    while engine.has_unfinished:
        engine.step()
    assert not engine.kv_cache.has_forks
