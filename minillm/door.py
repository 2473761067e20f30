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
        raise RequestRejected.of("refusals.prompt_empty")
    if length >= context:
        raise RequestRejected.of(
            "refusals.prompt_over_context", length=length, context=context, most=context - 1
        )
    budget = config.max_num_batched_tokens
    if not scheduler.chunked and length > budget:
        raise RequestRejected.of(
            "refusals.prompt_over_budget", length=length, budget=budget, scheduler=scheduler.name
        )
    kept_free = scheduler.admission.reserved(config.num_blocks)
    slots = most_tokens_per_sequence(config, kept_free)
    if sampling.max_tokens is None:
        max_tokens = min(context - length, slots - length + 1)
    else:
        max_tokens = min(context - length, sampling.max_tokens)
    if max_tokens < 1 or length + max_tokens - 1 > slots:
        run = "_run" if config.kv_cache == "contiguous" else ""
        raise RequestRejected.of(
            f"refusals.never_fits{run}",
            length=length,
            max_tokens=max(1, max_tokens),
            usable=slots // config.block_size,
            size=config.block_size,
            slots=slots,
            blocks=config.num_blocks,
            scheduler=scheduler.name,
            kept=kept_free,
        )
    return max_tokens
