"""Features of a prompt: what a learned length predictor sees of a request, and what it learns
from one that has been answered. Nothing here can see the future."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import Protocol

from minillm.request import FinishReason, Request

Features = Mapping[str, float]
_WORD = re.compile(r"\w+")


class Record(Protocol):
    """A request that has been served; those of `trace.requests` are such."""

    @property
    def prompt(self) -> str | None: ...
    @property
    def prompt_len(self) -> int: ...
    @property
    def client(self) -> str | None: ...
    @property
    def output_len(self) -> int: ...
    @property
    def finish_reason(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to learn from. `cut`: max_tokens ended it, and it would have been longer."""

    features: Features
    num_tokens: int
    cut: bool


def features(prompt: str | None, prompt_len: int, client: str | None) -> dict[str, float]:
    """The prompt's length in tokens (its logarithm: twice as long counts the same everywhere),
    which words it has, and who asks. Without text there are only length and client."""
    found = {"length": log2(1 + prompt_len)}
    if client is not None:
        found[f"client {client}"] = 1.0
    for word in _WORD.findall((prompt or "").lower()):
        found[f"word {word}"] = 1.0
    return found


def request_features(request: Request) -> dict[str, float]:
    return features(request.prompt, request.num_prompt_tokens, request.client)


def answer_of(record: Record) -> Answer | None:
    """What `record` teaches. None: nothing, because it was aborted, failed or refused, or still
    runs."""
    ended = record.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)
    if not ended or record.output_len < 1:
        return None
    seen = features(record.prompt, record.prompt_len, record.client)
    return Answer(seen, record.output_len, record.finish_reason == FinishReason.LENGTH)
