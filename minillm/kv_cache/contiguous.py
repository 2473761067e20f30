"""KV memory as it was before paging: one run of consecutive blocks per request, taken whole.

A sequence cannot move, so its run must be long enough for all it may ever write. How much that
is has to be known, or guessed, when it is admitted (the three systems that the paper on
PagedAttention, SOSP'23, compares with):

    max     prompt + max_tokens
    pow2    the answer's length is guessed within a factor of two
    oracle  prompt + answer, exactly: what no real system knows

What is reserved and never written is internal fragmentation. Runs come from a buddy allocator;
what it rounds up and the holes that are too short are external fragmentation.
"""

from __future__ import annotations

from minillm.events import Event, Forked
from minillm.kv_cache.buddy import BuddyAllocator, power_of_two
from minillm.kv_cache.manager import NO_HIT, KVCache, PrefixHit
from minillm.request import Request


def reserved_tokens(request: Request, reserve: str) -> int:
    """KV slots that `request` is given when it is admitted. The last token is never written."""
    if reserve == "max":
        return request.max_total_tokens
    # "oracle" and "pow2" may look: where a model decides there is no truth yet, and the most that
    # was asked for stands in for it.
    truth = request.true_output_len or request.max_tokens
    if reserve == "pow2":
        truth = power_of_two(truth)
    return request.num_prompt_tokens + min(truth, request.max_tokens) - 1


class ContiguousKVCache(KVCache):
    """One run per sequence, reserved by `reserve`, whatever number of tokens is asked for."""

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        log: list[Event],
        *,
        reserve: str = "max",
        num_cpu_blocks: int = 0,
    ) -> None:
        super().__init__(num_blocks, block_size, log, num_cpu_blocks=num_cpu_blocks)
        self.reserve = reserve
        self.buddies = BuddyAllocator(num_blocks)

    @property
    def num_free_blocks(self) -> int:
        """Blocks in free runs, whatever their lengths."""
        return self.buddies.num_free

    @property
    def num_used_blocks(self) -> int:
        """What the runs were rounded up by is neither used nor free."""
        return sum(len(table) for table in self._tables.values())

    @property
    def largest_run(self) -> int:
        return self.buddies.largest_free

    def blocks_needed(self, request: Request, num_tokens: int, hit: PrefixHit = NO_HIT) -> int:
        """The run that holds the whole request, rounded up; 0 when it has one."""
        if request.request_id in self._tables:
            return 0
        return power_of_two(self._run(request))

    def allocate(self, request: Request, num_tokens: int, hit: PrefixHit = NO_HIT) -> bool:
        if request.request_id in self._tables:
            return True
        count = self._run(request)
        start = self.buddies.take(count)
        if start is None:
            return False
        table = self._tables[request.request_id] = list(range(start, start + count))
        self._took(request, table)
        self._bring_back(request, 0)
        return True

    def fork(self, parent: Request, child: Request) -> bool:
        """Nothing can be shared: the child gets a run and a copy of what was computed."""
        count = self._run(child)
        start = self.buddies.take(count)
        if start is None:
            return False
        table = self._tables[child.request_id] = list(range(start, start + count))
        used = -(-parent.num_computed_tokens // self.block_size)
        mine = self._tables[parent.request_id]
        self.moves.copies += list(zip(mine[:used], table[:used], strict=True))
        self.log.append(Forked(parent.request_id, child.request_id, ()))
        self._took(child, table)
        return True

    def check(self) -> None:
        super().check()
        self.buddies.check()
        for name, table in self._tables.items():
            assert table == list(range(table[0], table[-1] + 1)), f"{name}: {table} is no run"
        runs = sum(power_of_two(len(table)) for table in self._tables.values())
        assert runs == self.num_blocks - self.buddies.num_free, "a run is owned by nobody"

    def _run(self, request: Request) -> int:
        tokens = max(reserved_tokens(request, self.reserve), request.num_tokens)
        return -(-tokens // self.block_size)

    def _release(self, request: Request, table: list[int]) -> None:
        self.buddies.release(table[0])
