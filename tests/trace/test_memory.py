"""Every slot of every step has one kind, and it is the right one."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from fakes import CheckingExecutor, fake_engine
from hypothesis import given, settings
from recorded_runs import header_for

from minillm.engine import Engine
from minillm.events import (
    Added,
    Admitted,
    Alloc,
    Copied,
    Finished,
    Forked,
    Free,
    Step,
    Wait,
    WaitReason,
)
from minillm.execution.batch import Result, Row
from minillm.kv_cache.paged import PagedKVCache
from minillm.moves import NO_MOVES, BlockMoves
from minillm.request import RequestRejected, SamplingParams
from minillm.scheduling import SYSTEMS
from minillm.trace import Header, Recorder, Trace
from minillm.trace.memory import KINDS, Memory

MANAGERS: list[dict[str, Any]] = [
    {"kv_cache": "paged", "enable_prefix_caching": True},
    {"kv_cache": "paged", "enable_prefix_caching": False},
    {"kv_cache": "token", "enable_prefix_caching": True},
    {"kv_cache": "token"},
    *({"kv_cache": "contiguous", "reserve": reserve} for reserve in ("max", "pow2", "oracle")),
]
MEMORY_REASONS = (WaitReason.NO_KV_BLOCKS, WaitReason.FRAGMENTED, WaitReason.PREEMPTED)


class WatchingExecutor(CheckingExecutor):
    """Looks, when each batch is computed, at the block tables that the engine really has."""

    engine: Engine

    def __init__(self, block_size: int) -> None:
        super().__init__(block_size)
        self.tables: list[dict[str, list[int]]] = []
        self.tokens: list[set[int]] = []  # slots that hold a token of somebody
        self.cached: list[int] = []

    def execute(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Result:
        result = super().execute(rows, moves)
        cache = self.engine.kv_cache
        new = {row.request.request_id: row.num_new_tokens for row in rows}
        tables, tokens = {}, set[int]()
        for request in self.engine.running:
            name = request.request_id
            table = tables[name] = list(cache.block_table(request))
            for place in range(request.num_computed_tokens + new.get(name, 0)):
                size = self.block_size
                tokens.add(table[place // size] * size + place % size)
        self.tables.append(tables)
        self.tokens.append(tokens)
        reusable = isinstance(cache, PagedKVCache) and cache.pool.is_reusable
        blocks = range(self.engine.config.num_blocks)
        self.cached.append(sum(map(reusable, blocks)) if reusable else 0)
        return result


def run(
    scheduler: str, manager: dict[str, Any], seed: int, **more: Any
) -> tuple[Trace, WatchingExecutor]:
    """A dozen random requests, with common beginnings, forks and aborts, on little memory."""
    rng = random.Random(seed)
    size = 1 if manager["kv_cache"] == "token" else rng.choice([1, 3, 4, 8])
    executor = WatchingExecutor(size)
    engine = fake_engine(
        scheduler,
        executor=executor,
        model_max_len=64,
        block_size=size,
        num_blocks=rng.randrange(60, 200) // size,
        max_num_seqs=rng.randrange(2, 7),
        max_num_batched_tokens=rng.choice([16, 64]),
        **manager,
        **more,
    )
    executor.engine = engine
    recorder = Recorder(header_for(engine, kv_cache=manager["kv_cache"]))
    engine.hooks.on("step", recorder.on_step)
    left = 12
    while left or engine.has_unfinished:
        if left and (rng.random() < 0.5 or not engine.has_unfinished):
            left -= 1
            prompt = [1] * rng.choice([0, 8, 16]) + rng.choices(range(50), k=rng.randrange(1, 12))
            sampling = SamplingParams(
                temperature=0, max_tokens=rng.randrange(1, 20), n=rng.choice([1, 1, 2, 3])
            )
            with contextlib.suppress(RequestRejected):
                engine.add_request(prompt, sampling, request_id=f"r{left}")
        if rng.random() < 0.05:
            engine.abort(f"r{rng.randrange(12)}")
        if engine.has_unfinished:
            executor.seconds = rng.randrange(1, 9) / 1000
            engine.step()
    recorder.close(engine.pending_events, time=engine.clock.now)
    return recorder.trace, executor


def slots_to_be_written(trace: Trace, executor: WatchingExecutor, step: int) -> int:
    """Held and empty slots that hold a token in a later step, their block held all the time."""
    size, found = executor.block_size, 0
    for block in {block for table in executor.tables[step].values() for block in table}:
        mine = {*range(block * size, (block + 1) * size)}
        ever, owners = set[int](), set(executor.tables[step])
        for n in range(step, len(trace.steps)):
            owners &= {name for name, table in executor.tables[n].items() if block in table}
            if not owners:
                break
            ever |= executor.tokens[n] & mine
            for event in trace.steps[n].after:
                if isinstance(event, Forked) and block in event.blocks:
                    owners.add(event.child)
        found += len(ever - executor.tokens[step])
    return found


def check(trace: Trace, executor: WatchingExecutor) -> Memory:
    """Compare with what the executor saw, slot by slot."""
    memory, size = trace.memory(), executor.block_size
    assert len(memory.token) == len(trace.steps) == len(executor.tables)
    for n, tables in enumerate(executor.tables):
        kinds = {kind: getattr(memory, kind)[n] for kind in KINDS}
        assert min(kinds.values()) >= 0
        assert sum(kinds.values()) == memory.num_slots == trace.header.num_blocks * size
        held = {block for table in tables.values() for block in table}
        assert kinds["token"] == len(executor.tokens[n])
        assert kinds["reserved"] == slots_to_be_written(trace, executor, n)
        assert kinds["internal"] == len(held) * size - kinds["token"] - kinds["reserved"]
        assert kinds["cached"] == executor.cached[n] * size
        assert memory.unshared[n] == sum(len(table) for table in tables.values()) * size
        if any(wait.reason in MEMORY_REASONS for wait in trace.state_at(n).waits):
            assert kinds["free"] == 0
        elif trace.header.kv_cache == "contiguous":
            rounded = sum(2 ** math.ceil(math.log2(len(table))) for table in tables.values())
            assert kinds["external"] == (rounded - len(held)) * size
        else:
            assert kinds["external"] == 0
    return memory


@given(
    scheduler=st.sampled_from(sorted(SYSTEMS)),
    manager=st.sampled_from(MANAGERS),
    seed=st.integers(0, 10_000),
    cpu_blocks=st.sampled_from([0, 0, 3, 40]),
)
@settings(max_examples=60, deadline=None)
def test_every_slot_has_its_kind(
    scheduler: str, manager: dict[str, Any], seed: int, cpu_blocks: int
) -> None:
    swap = {"preemption": "swap", "num_cpu_blocks": cpu_blocks} if cpu_blocks else {}
    check(*run(scheduler, manager, seed, **swap))


def test_the_runs_above_meet_every_kind() -> None:
    seen = dict.fromkeys(KINDS, 0)
    saved = 0.0
    for seed in range(3):
        for manager in MANAGERS:
            memory = check(*run("orca" if "reserve" in manager else "vllm", manager, seed))
            for kind in KINDS:
                seen[kind] += sum(getattr(memory, kind))
            saved += max(0.0, memory.saved_by_sharing())
    assert all(seen.values())
    assert saved > 0


HEADER = Header(
    block_size=4, num_blocks=8, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64
)


def test_by_hand() -> None:
    """`a` holds two blocks and writes 5 of 8 slots; `b` waits for memory in the middle step, which
    is three times as long as the others."""
    steps = [
        Step(index=0, start=0, duration=10, prefills=(("a", 3),),
             events=(Added("a", 0, 3, 9), Admitted("a"), Alloc("a", (0, 1)))),
        Step(index=1, start=10, duration=30, events=(Added("b", 10, 3, 9),),
             waits=(Wait("b", WaitReason.NO_KV_BLOCKS, ("a",), 7, 6),)),
        Step(index=2, start=40, duration=10, waits=(),
             after=(Finished("a", "length"), Free("a"))),
    ]  # fmt: skip
    memory = Trace(HEADER, steps).memory()
    assert memory.num_slots == 32
    assert list(memory.token) == [3, 4, 5]
    assert list(memory.reserved) == [2, 1, 0]
    assert list(memory.internal) == [3, 3, 3]
    assert list(memory.external) == [0, 24, 0]
    assert list(memory.free) == [24, 0, 24]
    shares = memory.shares()
    assert shares["token"] == pytest.approx(100 * 4 / 32)
    assert shares["external"] == pytest.approx(100 * 24 * 30 / 50 / 32)
    assert sum(shares.values()) == pytest.approx(100)
    later = memory.shares(begin=10e-9, end=40e-9)
    assert later["external"] == pytest.approx(75)
    assert memory.saved_by_sharing() == 0


def test_a_shared_block_counts_once() -> None:
    """Six tokens are computed when `a` is forked: block 1 is half full. The child copies it to
    write; then the parent writes on in place."""
    steps = [
        Step(index=0, start=0, duration=10, prefills=(("a", 6),),
             events=(Added("a", 0, 6, 9), Admitted("a"), Alloc("a", (0, 1))),
             after=(Forked("a", "a.1", (0, 1)),)),
        Step(index=1, start=10, duration=10, waits=(Wait("*running", WaitReason.LOWER_PRIORITY),
             ), events=(Added("b", 10, 1, 9), Admitted("b"), Alloc("b", (7,))),
             prefills=(("b", 1),)),
        Step(index=2, start=20, duration=10, waits=(), events=(Copied("a.1", 1, 2),)),
    ]  # fmt: skip
    memory = Trace(HEADER, steps).memory()
    assert list(memory.token) == [6, 6 + 1, 4 + 3 + 3 + 2]
    assert list(memory.unshared) == [8, 16 + 4, 16 + 4]
    # Nobody gives anything up: what is empty in the end was never written.
    assert list(memory.reserved) == [1, 1 + 1, 0]
    assert list(memory.internal) == [1, 1 + 2, 1 + 1 + 2]
    assert memory.saved_by_sharing() == pytest.approx(100 * (1 - (8 + 12 + 16) / (8 + 20 + 20)))


def test_nothing_was_run() -> None:
    memory = Trace(HEADER).memory()
    assert all(math.isnan(share) for share in memory.shares().values())
    assert math.isnan(memory.saved_by_sharing())
