"""A stand-in for the model that notices every wrong block.

Each KV slot stores a fingerprint of all tokens up to its position. Before "sampling", the executor
reads the whole sequence back through its block table and compares: aliased, stale, lost or
never-written slots are caught at once. The sampled token is a function of the tokens before it
only, so that every correct schedule gives the same output.
"""

from __future__ import annotations

from collections.abc import Sequence

from minillm.clock import VirtualClock
from minillm.config import EngineConfig
from minillm.engine import Engine
from minillm.execution.batch import Result, Row, Sampled
from minillm.moves import NO_MOVES, BlockMoves
from minillm.overlapped import OverlappedEngine
from minillm.request import Request
from minillm.scheduling import Scheduler, make_scheduler

VOCAB = 50
EOS = 7


def fingerprint(before: int, token: int) -> int:
    return (before * 1_000_003 + token * 7919 + 12345) % (1 << 61)


def next_token(fingerprint_of_all: int) -> int:
    return fingerprint_of_all // 97 % VOCAB


def expected_output(
    prompt: Sequence[int], max_tokens: int, *, ignore_eos: bool = False
) -> list[int]:
    """What any correct engine must generate."""
    state = 0
    for token in prompt:
        state = fingerprint(state, token)
    output: list[int] = []
    while len(output) < max_tokens:
        output.append(next_token(state))
        state = fingerprint(state, output[-1])
        if output[-1] == EOS and not ignore_eos:
            break
    return output


class Computed:
    """A launch whose result is known already."""

    def __init__(self, result: Result | None, error: Exception | None = None) -> None:
        self._result, self._error = result, error

    def result(self) -> Result:
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result


class CheckingExecutor:
    """`seconds`: what each step lasts; `fail_at`: step numbers at which execute raises."""

    def __init__(self, block_size: int, *, seconds: float = 0.01, fail_at: Sequence[int] = ()):
        self.block_size = block_size
        self.seconds = seconds
        self.fail_at = set(fail_at)
        self.slots: dict[int, int] = {}
        self.cpu_slots: dict[int, int] = {}
        self.steps = 0
        self.pending: dict[str, int] = {}  # what the last launch sampled
        self.batch_sizes: list[int] = []

    def execute(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Result:
        self.steps += 1
        if self.steps - 1 in self.fail_at:
            raise RuntimeError("planned failure")
        self._move(moves)
        self.batch_sizes.append(sum(row.num_new_tokens for row in rows))
        for row in rows:
            self._write(row)
        result = Result([self._sample(row) for row in rows], self.seconds)
        for row, sampled in zip(rows, result.sampled, strict=True):
            if sampled is not None:
                result.forked |= {fork.request_id: sampled for fork in row.request.forks}
        return result

    def launch(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Computed:
        """Computes at once; what it raises and samples is told when the result is asked for."""
        try:
            result = self.execute(rows, moves)
        except Exception as error:
            self.pending = {row.request.request_id: 0 for row in rows}
            return Computed(None, error)
        self.pending = {
            row.request.request_id: sampled.token_id
            for row, sampled in zip(rows, result.sampled, strict=True)
            if sampled is not None
        }
        return Computed(result)

    def _tokens(self, request: Request, start: int, end: int) -> list[int]:
        tokens = request.token_ids(start, end)
        if len(tokens) < end - start:
            tokens.append(self.pending[request.request_id])
        return tokens

    def _move(self, moves: BlockMoves) -> None:
        """Slots that were never written move as what they are: nothing."""
        size = self.block_size

        def copy(source: dict[int, int], target: dict[int, int], pairs: list[tuple[int, int]]):
            before = dict(source)
            for old, new in pairs:
                for offset in range(size):
                    target.pop(new * size + offset, None)
                    if old * size + offset in before:
                        target[new * size + offset] = before[old * size + offset]

        copy(self.slots, self.cpu_slots, moves.swap_out)
        copy(self.slots, self.slots, moves.copies)
        copy(self.cpu_slots, self.slots, moves.swap_in)

    def _slot(self, row: Row, position: int) -> int:
        block = row.block_table[position // self.block_size]
        return block * self.block_size + position % self.block_size

    def _write(self, row: Row) -> None:
        start = row.request.num_computed_tokens
        assert row.num_new_tokens >= 1
        state = self.slots[self._slot(row, start - 1)] if start else 0
        for offset, token in enumerate(
            self._tokens(row.request, start, start + row.num_new_tokens)
        ):
            state = fingerprint(state, token)
            self.slots[self._slot(row, start + offset)] = state

    def _sample(self, row: Row) -> Sampled | None:
        request = row.request
        end = request.num_computed_tokens + row.num_new_tokens
        state = 0
        for position, token in enumerate(self._tokens(request, 0, end)):
            state = fingerprint(state, token)
            assert self.slots[self._slot(row, position)] == state, (
                f"request {request.request_id}: wrong content at position {position}, "
                f"block {row.block_table[position // self.block_size]}"
            )
        return Sampled(next_token(state)) if row.samples else None


def fake_engine(
    scheduler: str | Scheduler = "sarathi",
    *,
    executor: CheckingExecutor | None = None,
    model_max_len: int = 256,
    overlapped: bool = False,
    **settings: object,
) -> Engine:
    """An engine on the checking executor in virtual time."""
    policy = make_scheduler(scheduler)
    config = EngineConfig.from_kwargs(**settings).resolve(
        chunked=policy.chunked, model_max_len=model_max_len
    )
    executor = executor or CheckingExecutor(config.block_size)
    loop = OverlappedEngine if overlapped else Engine
    return loop(executor, policy, config, clock=VirtualClock(), eos_token_ids=(EOS,))
