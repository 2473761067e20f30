"""A student's block allocator in the real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from minillm import costs
from minillm.config import EngineConfig
from minillm.engine import Engine
from minillm.events import Alloc, Evicted
from minillm.kv_cache import PagedKVCache, PrefixHit
from minillm.kv_cache.block_pool import BlockPool
from minillm.kv_cache.manager import NO_HIT
from minillm.llm import LLM
from minillm.request import Request
from minillm.simulation import simulated_engine
from minillm.trace import Trace
from minillm.trace.recorder import Recorder
from minillm.workload import RequestSpec
from minillm.workload.driver import WorkloadDriver


class BlockAllocator(Protocol):
    """Who has which blocks. Blocks are the numbers 0 … num_blocks − 1, a block table is a list of
    them."""

    @property
    def num_free(self) -> int:
        """Blocks that nobody uses."""
        ...

    def allocate(self, table: list[int], num_tokens: int) -> bool:
        """Append blocks to `table` until `num_tokens` fit. False, and nothing changed, without
        room."""
        ...

    def share(self, blocks: Sequence[int]) -> list[int]:
        """One more request uses `blocks`: the table that it begins with."""
        ...

    def free(self, table: Sequence[int]) -> None:
        """A request uses the blocks of `table` no more. ValueError where nobody used one."""
        ...


MakeAllocator = Callable[[int, int], BlockAllocator]
"""MakeAllocator(num_blocks, block_size), such as a student's class."""


def llm_with(allocator: MakeAllocator, **options: Any) -> LLM:
    """An `LLM` of paged memory whose blocks are given out, shared and taken back by `allocator`.
    `options` are those of `LLM`; without swapping."""
    llm = LLM(**options, async_scheduling=False)
    _give(llm.engine, allocator)
    return llm


def simulate_with(
    allocator: MakeAllocator,
    workload: Iterable[RequestSpec],
    model: str,
    hardware: str,
    scheduler: str,
    **settings: Any,
) -> Trace:
    """As `minillm.simulate`, with `allocator` as in `llm_with`; `settings` have `num_blocks`."""
    config = EngineConfig.from_kwargs(**settings)
    engine, header = simulated_engine(costs.cost_model(model, hardware), scheduler, config)
    _give(engine, allocator)
    recorder = Recorder(header)
    engine.hooks.on("step", recorder.on_step)
    driver = WorkloadDriver(engine, workload)
    while not driver.finished:
        driver.step()
    recorder.close(events=engine.pending_events, how="complete", time=engine.clock.now)
    return recorder.trace


def _give(engine: Engine, allocator: MakeAllocator) -> None:
    """Have `engine`, which has served nobody yet, take its blocks from `allocator`."""
    config = engine.config
    engine.kv_cache = OwnKVCache(
        allocator(config.num_blocks, config.block_size),
        config.num_blocks,
        config.block_size,
        config.enable_prefix_caching,
        engine.kv_cache.log,
    )


class OwnKVCache(PagedKVCache):
    """Paged memory on a student's allocator. A content can be found as long as somebody uses its
    block: an allocator that only knows who uses what has no place for what is kept beyond that."""

    pool: _Pool

    def __init__(self, allocator: BlockAllocator, num_blocks: int, *rest: Any) -> None:
        super().__init__(num_blocks, *rest)
        self.pool = _Pool(allocator, num_blocks)

    def allocate(self, request: Request, num_tokens: int, hit: PrefixHit = NO_HIT) -> bool:
        if self.blocks_needed(request, num_tokens, hit) > self.pool.num_free:
            return False
        name = request.request_id
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = self.pool.allocator.share(list(hit.blocks))
            self.pool.count(hit.blocks)
            self._contents[name] = list(hit.content_ids)
            self.log.append(Alloc(name, hit.blocks))
        shared = self._shared_tail(request, table)
        if shared is not None:
            self._copy_on_write(request, table, shared)
        held = len(table)
        if not self.pool.allocator.allocate(table, num_tokens):
            raise RuntimeError(
                f"the allocator has {self.pool.num_free} free blocks of {self.block_size} tokens, "
                f"and refuses to let a table of {held} blocks grow to {num_tokens} tokens"
            )
        self.pool.count(table[held:])
        self.log.append(Alloc(name, tuple(table[held:])))
        return True

    def free(self, request: Request) -> None:
        table = list(self.block_table(request))
        super().free(request)
        if gone := self.pool.forget_unowned(table):
            self.log.append(Evicted(tuple(gone)))

    def check(self) -> None:
        self.pool.check(list(self._tables.values()))


class _Pool(BlockPool):
    """What the blocks hold is in the engine's books; who uses them, in the student's. The counts
    are kept beside them, since the engine wants to know which blocks are shared."""

    def __init__(self, allocator: BlockAllocator, num_blocks: int) -> None:
        super().__init__(num_blocks)
        self.allocator = allocator

    @property
    def num_free(self) -> int:
        return self.allocator.num_free

    def count(self, blocks: Iterable[int]) -> None:
        """One more owner for each."""
        for block in blocks:
            self.ref_counts[block] += 1

    def take(self, count: int) -> tuple[list[int], list[int]]:
        """For the copies of copy-on-write, a block each."""
        tables: list[list[int]] = [[] for _ in range(count)]
        if not all(self.allocator.allocate(table, 1) for table in tables):
            raise RuntimeError(f"the allocator has {self.num_free} free blocks, and gives none")
        taken = [block for table in tables for block in table]
        self.count(taken)
        return taken, []

    def share(self, block: int) -> None:
        self.allocator.share([block])
        self.count([block])

    def release(self, blocks: Sequence[int]) -> None:
        self.allocator.free(list(blocks))
        for block in blocks:
            self.ref_counts[block] -= 1

    def forget_unowned(self, blocks: Sequence[int]) -> list[int]:
        """Forget what those hold that nobody owns; returns those that held something known."""
        gone = [b for b in blocks if self.ref_counts[b] == 0 and self._keys[b] is not None]
        for block in gone:
            self.forget(block)
        return gone

    def check(self, tables: Sequence[Sequence[int]]) -> None:
        owned = {block for table in tables for block in table}
        assert self.num_free == self.num_blocks - len(owned), f"{self.num_free} free"
