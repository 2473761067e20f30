"""What the other ranks must know of a step's batch: of each row, only what is new.

Both ends keep the rows of the step before and nothing else, so that neither grows: a sequence that
sat out a step is told anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from minillm.execution.batch import Row
from minillm.request import Request, SamplingParams

GREEDY = SamplingParams(temperature=0.0, max_tokens=1)


class RowUpdate(NamedTuple):
    """One row. `tokens` follow the `num_known_tokens` that the other end has of the sequence,
    `blocks` the first `num_known_blocks` of its table; of a new sequence both are 0."""

    request_id: str
    num_prompt_tokens: int
    num_computed_tokens: int
    num_new_tokens: int
    in_decode: bool
    num_known_tokens: int
    tokens: list[int]
    num_known_blocks: int
    blocks: list[int]


@dataclass(slots=True)
class _Told:
    request: Request
    num_tokens: int
    table: list[int]


class RowSender:
    """Rank 0's end."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def updates(self, rows: Sequence[Row]) -> list[RowUpdate]:
        """What makes the other end's rows equal to `rows`."""
        told: dict[str, _Told] = {}
        updates = []
        for row in rows:
            request, table = row.request, list(row.block_table)
            name = request.request_id
            before = self._told.get(name)
            if before is None or before.request is not request:
                before = _Told(request, 0, [])
            same = len(before.table) if table[: len(before.table)] == before.table else 0
            updates.append(
                RowUpdate(
                    name,
                    request.num_prompt_tokens,
                    request.num_computed_tokens,
                    row.num_new_tokens,
                    request.in_decode,
                    before.num_tokens,
                    request.token_ids(before.num_tokens, request.num_tokens),
                    same,
                    table[same:],
                )
            )
            told[name] = _Told(request, request.num_tokens, table)
        self._told = told
        return updates


class RowReceiver:
    """The other end: keeps a copy of each sequence, greedy and without forks."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Request, list[int]]] = {}

    def rows(self, updates: Sequence[RowUpdate]) -> list[Row]:
        """The batch as rank 0 has it."""
        known, self._rows = self._rows, {}
        rows = []
        for update in updates:
            request, table = (
                known[update.request_id] if update.num_known_tokens else (_new(update), [])
            )
            if update.num_known_tokens:
                request.output_token_ids += update.tokens
            request.num_output_tokens = len(request.output_token_ids)
            request.num_computed_tokens = update.num_computed_tokens
            request.in_decode = update.in_decode
            table = [*table[: update.num_known_blocks], *update.blocks]
            self._rows[update.request_id] = request, table
            rows.append(Row(request, update.num_new_tokens, table))
        return rows


def _new(update: RowUpdate) -> Request:
    length = update.num_prompt_tokens
    return Request(
        update.request_id,
        0,
        length,
        GREEDY,
        1,
        0,
        prompt_token_ids=update.tokens[:length],
        output_token_ids=update.tokens[length:],
    )
