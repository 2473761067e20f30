"""From chats to training batches: right-padded rows of similar length.

Each row is one chat, never two: in service a request is alone in its context, and two chats in a
row would contradict each other's facts. Sorting by length keeps the padding small.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from minillm.pocket.corpus import Chat, Mix, chats
from minillm.pocket.tokenizer import CONTEXT, ChatEncoder

PROMPT_WEIGHT = 0.1  # the prompt is mostly chance, there is little to learn from its loss
ANSWER_WEIGHT = {"story": 1.0, "facts": 5.0, "sums": 2.0, "talk": 1.0, "pairs": 5.0}
POOL_BATCHES = 16  # how many batches' worth of chats are sorted together


@dataclass(frozen=True)
class Batch:
    """`ids` int64 [rows, length]; `weights` float [rows, length]: of predicting that very token."""

    ids: torch.Tensor
    weights: torch.Tensor
    tokens: int  # without padding


def _collate(rows: list[tuple[list[int], list[float]]]) -> Batch:
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    for row, (row_ids, row_weights) in enumerate(rows):
        ids[row, : len(row_ids)] = torch.tensor(row_ids)
        weights[row, : len(row_ids)] = torch.tensor(row_weights)
    return Batch(ids, weights, sum(len(row_ids) for row_ids, _ in rows))


def encode_row(encoder: ChatEncoder, chat: Chat) -> tuple[list[int], list[float]]:
    """Ids of one chat and the loss weight of each."""
    ids, answer = encoder.encode(chat)
    spoken = ANSWER_WEIGHT[chat.kind]
    return ids, [spoken if said else PROMPT_WEIGHT for said in answer]


def batches(encoder: ChatEncoder, mix: Mix, batch_tokens: int, seed: str) -> Iterator[Batch]:
    """Endless batches of about `batch_tokens` tokens, padding included; the seed decides all."""
    stream = chats(seed, mix)
    shuffle = random.Random(f"shuffle-{seed}")
    encoded = (encode_row(encoder, chat) for chat in stream)
    rows = (row for row in encoded if len(row[0]) <= CONTEXT)
    while True:
        pool: list[tuple[list[int], list[float]]] = []
        total = 0
        for row in rows:
            pool.append(row)
            total += len(row[0])
            if total >= POOL_BATCHES * batch_tokens:
                break
        pool.sort(key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], list[float]]]] = [[]]
        for row in pool:
            if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > batch_tokens:
                groups.append([])
            groups[-1].append(row)
        shuffle.shuffle(groups)
        yield from map(_collate, groups)


def skip(stream: Iterator[Batch], count: int) -> Iterator[Batch]:
    """The stream after its first `count` batches, for resuming."""
    return islice(stream, count, None)
