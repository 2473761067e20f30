"""Driving an executor by hand: requests, block tables, and every position's logits."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch

from minillm.execution.batch import Row
from minillm.execution.kv_tensors import KVTensors, Scales
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.packing import PagedAttention, forward, pack
from minillm.execution.torch_executor import TorchExecutor
from minillm.request import Request, SamplingParams

Schedule = Callable[[list[Request]], list[int]]  # how many new tokens each request computes


def request(number: int, prompt: list[int], **sampling: object) -> Request:
    params = SamplingParams(**{"temperature": 0.0, "max_tokens": 16} | sampling)  # type: ignore[arg-type]
    return Request(
        str(number),
        number,
        len(prompt),
        params,
        params.max_tokens or 16,
        0,
        prompt_token_ids=prompt,
    )


def scattered_tables(
    requests: list[Request], block_size: int, seed: int = 0
) -> tuple[list[list[int]], int]:
    """A block table for each request's whole life, in random blocks; and the pool's size."""
    needed = [-(-r.max_total_tokens // block_size) for r in requests]
    blocks = list(range(sum(needed) + 2))
    random.Random(seed).shuffle(blocks)
    return [[blocks.pop() for _ in range(n)] for n in needed], sum(needed) + 2


def poisoned(kv: KVTensors) -> KVTensors:
    """Fill the cache with NaN: whatever is read before it is written shows."""
    for k, v in kv.layers.values():
        k.fill_(float("nan"))
        v.fill_(float("nan"))
    return kv


@torch.inference_mode()
def logits_in_steps(
    loaded: LoadedModel,
    prompts: list[list[int]],
    schedule: Schedule,
    block_size: int,
    scales: Scales | None = None,
) -> list[torch.Tensor]:
    """Logits of every position of `prompts`, computed in packed steps; steps end when all are."""
    requests = [request(i, p, max_tokens=1) for i, p in enumerate(prompts)]
    tables, num_blocks = scattered_tables(requests, block_size)
    kv = KVTensors(loaded, num_blocks=num_blocks, block_size=block_size, scales=scales)
    poisoned(kv)
    parts: list[list[torch.Tensor]] = [[] for _ in prompts]
    while any(r.num_uncomputed_tokens for r in requests):
        chosen = [
            (i, n)
            for i, n in enumerate(schedule(requests))
            if n and requests[i].num_uncomputed_tokens
        ]
        rows = [Row(requests[i], n, tables[i]) for i, n in chosen]
        batch = pack(rows, block_size, loaded.device)
        every = torch.arange(sum(n for _, n in chosen))
        pieces = (
            forward(loaded.model, batch, PagedAttention(batch, kv), every)
            .float()
            .split([n for _, n in chosen])
        )
        for (i, n), piece in zip(chosen, pieces, strict=True):
            requests[i].num_computed_tokens += n
            parts[i].append(piece)
    return [torch.cat(part) for part in parts]


def run(
    executor: TorchExecutor,
    requests: list[Request],
    tables: list[list[int]],
    *,
    chunk: int = 8,
    preempt_at: int | None = None,
) -> list[list[int]]:
    """Generate until every request has its max_tokens; prompts in chunks, decodes beside them."""
    step = 0
    while unfinished := [r for r in requests if r.num_output_tokens < r.max_tokens]:
        if step == preempt_at:
            unfinished[0].num_computed_tokens = 0
        rows = [
            Row(r, min(chunk, r.num_uncomputed_tokens), tables[requests.index(r)])
            for r in unfinished
        ]
        for row, sampled in zip(rows, executor.execute(rows).sampled, strict=True):
            r = row.request
            r.num_computed_tokens += row.num_new_tokens
            if sampled is not None:
                r.output_token_ids.append(sampled.token_id)
                r.num_output_tokens += 1
        step += 1
    return [r.output_token_ids for r in requests]
