"""The requests of a run, served again in simulated time: another scheduler, another memory."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from minillm.config import ConfigError
from minillm.costs import get_model
from minillm.kv_cache.memories import get_memory
from minillm.trace.records import Header
from minillm.trace.trace import Trace
from minillm.workload.spec import RequestSpec

DEVICE = "cpu"  # the fixed row of the hardware table: the same everywhere
_PIECE = 16  # tokens: beginnings of prompts are compared in pieces of that length


def requests_of(trace: Trace) -> list[RequestSpec]:
    """The requests that reached the engine, as lengths; an answer that was cut short is as long as
    it got. Prompts whose texts begin alike share that many tokens, by the mean length of a token
    in characters."""
    served = [r for r in trace.requests if r.rejected is None and r.parent is None]
    texts = [r for r in served if r.prompt]
    characters = sum(len(r.prompt or "") for r in texts)
    each = characters / sum(r.prompt_len for r in texts) if characters else 0.0
    known: dict[str, int] = {}

    def shared(text: str | None, length: int) -> list[int] | None:
        if not text:
            return None
        ends = (int((i + 1) * _PIECE * each) for i in range(length // _PIECE))
        beginnings = (text[:end] for end in takewhile(lambda end: end <= len(text), ends))
        return [known.setdefault(beginning, len(known)) for beginning in beginnings]

    return [
        RequestSpec(
            arrival_time=r.arrival / 1e9,
            prompt_len=r.prompt_len,
            output_len=max(1, r.output_len),
            max_tokens=max(r.max_tokens, r.output_len, 1),
            client=r.client,
            priority=r.priority,
            hash_ids=shared(r.prompt, r.prompt_len),
            hash_block_size=_PIECE,
        )
        for r in served
    ]


def rerun(
    trace: Trace,
    scheduler: str,
    memory: str,
    *,
    block_size: int | None = None,
) -> Trace:
    """The requests of `trace` under `scheduler` with `memory` of as many token slots, in simulated
    time. `block_size` (tokens) of None: as in the run. Raises ConfigError."""
    ran = trace.header
    size = block_size or ran.block_size
    settings = {
        "block_size": size,
        "num_blocks": max(1, ran.num_blocks * ran.block_size // size),
        "max_num_seqs": ran.max_num_seqs,
        "max_num_batched_tokens": ran.max_num_batched_tokens,
        "enable_prefix_caching": ran.prefix_caching,
    }
    if ran.num_cpu_blocks:
        settings["preemption"] = "swap"
    adapted = get_memory(memory).adapt(settings)
    if adapted["kv_cache"] != "paged":
        adapted.pop("enable_prefix_caching", None)
    return serve_again(trace, scheduler, DEVICE, {**adapted, "seed": ran.seed})


def serve_again(trace: Trace, scheduler: str, hardware: str, settings: dict[str, Any]) -> Trace:
    """The requests of `trace` and its model under `scheduler` on `hardware`, in simulated time.
    `settings` are those of the engine. Raises ConfigError."""
    from minillm.simulation import simulate

    return simulate(
        requests_of(trace),
        model=_model(trace.header),
        hardware=hardware,
        scheduler=scheduler,
        **{"max_model_len": trace.header.max_model_len, **settings},
    )


def _model(header: Header) -> Any:
    """The shape of the model that ran; of the pocket model where nothing is known of it."""
    try:
        return get_model(header.model)
    except ConfigError:
        return get_model("pocket")
