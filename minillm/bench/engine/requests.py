"""Requests that are known by their lengths alone: random token ids, no early end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """`prompt`: token ids. Exactly `output_len` tokens are to be generated, whatever they are."""

    prompt: list[int]
    output_len: int


def mixed(
    count: int,
    vocab_size: int,
    prompt_len: tuple[int, int],
    output_len: tuple[int, int],
    seed: int = 0,
) -> list[Request]:
    """`count` requests, lengths and ids uniform, bounds included; prompts are drawn first."""
    rng = random.Random(seed)
    prompts = [
        [rng.randrange(vocab_size) for _ in range(rng.randint(*prompt_len))] for _ in range(count)
    ]
    return [Request(prompt, rng.randint(*output_len)) for prompt in prompts]


def output_tokens(requests: Sequence[Request]) -> int:
    return sum(request.output_len for request in requests)
