"""Requests and managers for the tests of the KV cache: no engine, no model."""

from __future__ import annotations

from typing import Any

from minillm.kv_cache import KVCache, PagedKVCache
from minillm.kv_cache.contiguous import ContiguousKVCache
from minillm.request import Request, SamplingParams


def request(name: str, tokens: list[int], *, max_tokens: int = 50, **more: Any) -> Request:
    """A request of real tokens; `name` is a number, or that of a fork, "7.1"."""
    number, _, fork = name.partition(".")
    return Request(
        request_id=name,
        number=int(number),
        num_prompt_tokens=len(tokens),
        sampling=SamplingParams(),
        max_tokens=max_tokens,
        arrival_time=0,
        prompt_token_ids=tokens,
        fork=int(fork or 0),
        **more,
    )


def paged(
    num_blocks: int = 8, block_size: int = 4, caching: bool = True, cpu: int = 0
) -> PagedKVCache:
    return PagedKVCache(num_blocks, block_size, caching, [], num_cpu_blocks=cpu)


def contiguous(
    num_blocks: int = 16, block_size: int = 4, reserve: str = "max", cpu: int = 0
) -> ContiguousKVCache:
    return ContiguousKVCache(num_blocks, block_size, [], reserve=reserve, num_cpu_blocks=cpu)


def compute(kv: KVCache, r: Request, num_tokens: int) -> None:
    """The tokens of `r` up to `num_tokens` have been computed."""
    r.num_computed_tokens = num_tokens
    kv.commit(r)


def start(kv: KVCache, r: Request) -> Request:
    """Admit `r`, beginning with what is cached of it, and compute all of it."""
    assert kv.allocate(r, r.num_tokens, kv.find_prefix(r))
    compute(kv, r, r.num_tokens)
    return r


def write(kv: KVCache, r: Request, token: int) -> bool:
    """Sample `token` for `r`, and make room to compute it; False when there is none."""
    r.output_token_ids.append(token)
    r.num_output_tokens += 1
    return kv.allocate(r, r.num_tokens)


def fork(kv: KVCache, parent: Request, name: str) -> Request:
    """A child that has what `parent` has computed, and its own next token to come."""
    child = request(name, list(parent.prompt_token_ids or ()), max_tokens=parent.max_tokens)
    child.num_computed_tokens = parent.num_computed_tokens
    assert kv.fork(parent, child)
    return child
