"""The door: a request that can never be served is refused before it waits."""

from __future__ import annotations

from collections.abc import Sequence

from minillm.config import ResolvedConfig
from minillm.kv_cache import most_tokens_per_sequence
from minillm.request import RequestRejected, SamplingParams
from minillm.scheduling import Scheduler


def check_vocabulary(token_ids: Sequence[int], vocab_size: int | None) -> None:
    """Raises RequestRejected for a token id that the model has no embedding for. None: any."""
    if vocab_size is None or not token_ids:
        return
    worst = max(token_ids) if min(token_ids) >= 0 else min(token_ids)
    if not 0 <= worst < vocab_size:
        raise RequestRejected(f"token id {worst} is outside the vocabulary of {vocab_size:,}.")


def check_fits(
    length: int, sampling: SamplingParams, config: ResolvedConfig, scheduler: Scheduler
) -> int:
    """The max_tokens in force for a prompt of `length` tokens.

    Raises RequestRejected with the numbers that rule the request out: it must have a prompt, the
    prompt must leave room in the context, fit one step where the scheduler does not split
    prompts, and prompt + max_tokens − 1 slots must fit the KV pool that admission may use. The
    last sampled token is never computed, hence the − 1.
    """
    context = config.max_model_len
    if length < 1:
        raise RequestRejected("the prompt is empty: it needs at least one token.")
    if length >= context:
        raise RequestRejected(
            f"the prompt has {length:,} tokens; with a context of {context:,} "
            f"(max_model_len) at most {context - 1:,} fit. Shorten it."
        )
    budget = config.max_num_batched_tokens
    if not scheduler.chunked and length > budget:
        raise RequestRejected(
            f"the prompt has {length:,} tokens; scheduler {scheduler.name!r} computes a "
            f"prompt in one step of at most {budget:,} (max_num_batched_tokens). Raise that, or "
            "use a scheduler that splits prompts: sarathi."
        )
    kept_free = scheduler.admission.reserved(config.num_blocks)
    slots = most_tokens_per_sequence(config, kept_free)
    if sampling.max_tokens is None:
        max_tokens = min(context - length, slots - length + 1)
    else:
        max_tokens = min(context - length, sampling.max_tokens)
    if max_tokens < 1 or length + max_tokens - 1 > slots:
        raise RequestRejected(
            f"prompt + max_tokens − 1 = {length:,} + {max(1, max_tokens):,} − 1 tokens can "
            f"never fit the KV pool: {_capacity(config, slots)} "
            f"({config.num_blocks:,} blocks, of which scheduler {scheduler.name!r} leaves "
            f"{kept_free:,} free as watermark). Raise num_blocks or lower max_tokens."
        )
    return max_tokens


def _capacity(config: ResolvedConfig, slots: int) -> str:
    blocks = slots // config.block_size
    what = "blocks in its longest run" if config.kv_cache == "contiguous" else "usable blocks"
    return f"{blocks:,} {what} × {config.block_size} = {slots:,} slots"
