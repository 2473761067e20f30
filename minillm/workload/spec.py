"""RequestSpec: one request of a workload, before any engine has seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from minillm.request import SamplingParams

Message = dict[str, str]
"""A chat message: {"role": "user", "content": "…"}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSpec:
    """A request that arrives `arrival_time` seconds into the run.

    With `prompt` (text or chat messages) the model decides where the answer ends. Without, it is
    `prompt_len` tokens in and `output_len` tokens out: a real engine then serves seeded random
    tokens and ignores end-of-sequence. `output_len` is the future: no scheduler may read it.
    """

    arrival_time: float = 0.0
    prompt: str | Sequence[Message] | None = None
    prompt_len: int | None = None
    output_len: int | None = None
    max_tokens: int | None = None
    client: str | None = None
    priority: int = 0
    sampling: SamplingParams = field(default_factory=lambda: SamplingParams(temperature=0))

    def __post_init__(self) -> None:
        if self.arrival_time < 0:
            raise ValueError(f"arrival_time must be ≥ 0 s, got {self.arrival_time}")
        if (self.prompt is None) == (self.prompt_len is None):
            raise ValueError("give either prompt (text or messages) or prompt_len (tokens)")
        if self.prompt_len is not None and self.output_len is None:
            raise ValueError("a request given by prompt_len needs output_len too")
        for name in ("prompt_len", "output_len", "max_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
