"""What the engine hands to an executor, and what it gets back. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from minillm.moves import NO_MOVES, BlockMoves
from minillm.request import Logprob, Request


@dataclass(slots=True, eq=False)
class Row:
    """One scheduled sequence: compute `num_new_tokens` after its `num_computed_tokens`. Nobody
    changes a row: the one of a decode is used again in the next step.

    `block_table` is the sequence's list of physical blocks: token i lives in block
    `block_table[i // block_size]` at slot `i % block_size`. It covers all tokens to compute.
    """

    request: Request
    num_new_tokens: int
    block_table: Sequence[int]

    @property
    def samples(self) -> bool:
        """True when every known token is computed after this step, so a next one is sampled."""
        request = self.request
        return request.in_decode or self.num_new_tokens == request.num_uncomputed_tokens


@dataclass(slots=True)
class Sampled:
    """The token sampled for one row; `logprobs` only where the request asked for them."""

    token_id: int
    logprobs: dict[int, Logprob] | None = None


@dataclass(slots=True)
class Result:
    """`sampled[i]` belongs to row i: None where the row did not sample. `forked` has the first
    token of each of the forks of the rows' requests, by id.

    `seconds` is the modelled duration of a simulated step, 0 where time is measured;
    `transfer_seconds` of it passed waiting for blocks to be swapped.
    """

    sampled: list[Sampled | None] = field(default_factory=list)
    seconds: float = 0.0
    transfer_seconds: float = 0.0
    forked: dict[str, Sampled] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttentionRead:
    """One attention layer of one step: which physical blocks each sequence read, in order.

    `kernel` names the implementation. A sliding window reads only the blocks it reaches.
    """

    layer: int
    kernel: str
    blocks: dict[str, tuple[int, ...]]


class Executor(Protocol):
    """Computes one batch. Rows are in the scheduler's order: decodes and prefills may mix."""

    def execute(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Result:
        """Carry out `moves`, write K and V of each row's new tokens, run the model, sample where
        `row.samples`, for the request and its forks."""
        ...


class InFlight(Protocol):
    """A batch that was launched."""

    def result(self) -> Result:
        """Wait for it; raises what computing it raised."""
        ...


class LaunchingExecutor(Executor, Protocol):
    """Computes in the order of launching. A row whose last token is not in its request yet takes
    what the launch before sampled for that request."""

    def launch(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> InFlight:
        """Begin what `Executor.execute` does."""
        ...
