"""RequestSpec: one request of a workload, before any engine has seen it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from minillm.request import SamplingParams

Message = dict[str, str]
"""A chat message: {"role": "user", "content": "…"}."""

GREEDY = SamplingParams(temperature=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSpec:
    """A request that arrives `arrival_time` seconds into the run.

    With `prompt` (text or chat messages) the model decides where the answer ends. Without, it is
    `prompt_len` tokens in and `output_len` tokens out: a real engine then serves seeded random
    tokens and ignores end-of-sequence. `output_len` is the future: no scheduler may read it.

    Requests given by length share nothing, unless they say so: those with the same `prefix_id`
    have their first `prefix_len` tokens in common; those whose `hash_ids` begin alike have that
    many times `hash_block_size` tokens in common (as in Mooncake's traces).
    """

    arrival_time: float = 0.0
    prompt: str | Sequence[Message] | None = None
    prompt_len: int | None = None
    output_len: int | None = None
    max_tokens: int | None = None
    client: str | None = None
    priority: int = 0
    prefix_id: int | str | None = None
    prefix_len: int | None = None
    hash_ids: Sequence[int] | None = None
    hash_block_size: int = 512
    sampling: SamplingParams = GREEDY

    def __post_init__(self) -> None:
        if self.arrival_time < 0:
            raise ValueError(f"arrival_time must be ≥ 0 s, got {self.arrival_time}")
        if (self.prompt is None) == (self.prompt_len is None):
            raise ValueError("give either prompt (text or messages) or prompt_len (tokens)")
        if self.prompt_len is not None and self.output_len is None:
            raise ValueError("a request given by prompt_len needs output_len too")
        for name in ("prompt_len", "output_len", "max_tokens", "prefix_len", "hash_block_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if (self.prefix_id is None) != (self.prefix_len is None):
            raise ValueError("prefix_id and prefix_len are given together")
        if self.prefix_id is not None and self.hash_ids is not None:
            raise ValueError("give either prefix_id or hash_ids")
        if self.prompt_len is None and not (self.prefix_id is None and self.hash_ids is None):
            raise ValueError("prefix_id and hash_ids are for requests given by prompt_len")

    def content_ids(self, block_size: int) -> list[Hashable] | None:
        """Stand-ins for the content of the prompt's first full KV blocks, equal where it is; None
        when this request shares nothing."""
        length = self.prompt_len or 0
        if self.prefix_id is not None:
            shared = min(length, self.prefix_len or 0) // block_size
            return [(self.prefix_id, index) for index in range(shared)]
        if self.hash_ids is None:
            return None
        size = self.hash_block_size
        known = min(length, len(self.hash_ids) * size) // block_size
        return [
            (tuple(self.hash_ids[start // size : -(-(start + block_size) // size)]), start % size)
            for start in range(0, known * block_size, block_size)
        ]

    def shared_pieces(self) -> list[tuple[str, int]]:
        """(name, tokens) of the pieces of the prompt that others may have too, from its start."""
        left, pieces = self.prompt_len or 0, []
        if self.prefix_id is not None:
            return [(f"prefix {self.prefix_id}", min(left, self.prefix_len or 0))]
        for hash_id in self.hash_ids or ():
            pieces.append((f"hash {hash_id}", min(left, self.hash_block_size)))
            left -= pieces[-1][1]
        return [piece for piece in pieces if piece[1] > 0]
