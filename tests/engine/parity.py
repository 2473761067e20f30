"""Greedy parity with transformers: the reference, the comparison, and the matrix of settings."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import torch
from transformers import GenerationConfig

from minillm import LLM, SamplingParams
from minillm.execution.loaded_model import LoadedModel
from minillm.request import RequestOutput
from minillm.scheduling import make_scheduler

NEW_TOKENS = 14
LENGTHS = (61, 62, 60, 9, 33)  # the first three cross a 64-token block while they decode
MARGIN = 1e-4  # a token may differ only where the reference's two best logits are closer


@dataclass(frozen=True)
class Reference:
    prompt: list[int]
    tokens: list[int]
    margins: list[float]  # best minus second-best logit at each position


@dataclass
class Tally:
    compared: int = 0
    near_ties: int = 0


def prompts_for(vocab_size: int) -> list[list[int]]:
    """Five prompts of which the first three share 40 tokens, so that prefix caching matters."""
    rng = random.Random(1)
    stem = [rng.randrange(3, vocab_size) for _ in range(40)]
    prompts: list[list[int]] = []
    for index, length in enumerate(LENGTHS):
        own = [rng.randrange(3, vocab_size) for _ in range(length)]
        prompts.append((stem + own)[:length] if index < 3 else own)
    return prompts


@torch.inference_mode()
def reference(loaded: LoadedModel, prompts: Iterable[Sequence[int]]) -> list[Reference]:
    """What transformers' own greedy `generate` answers, one prompt at a time."""
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    model: Any = loaded.model
    model.generation_config.eos_token_id = None  # generate would take it over from here
    serving = model.config._attn_implementation
    model.set_attn_implementation("eager")
    answers: list[Reference] = []
    for prompt in prompts:
        out = model.generate(
            torch.tensor([list(prompt)]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            generation_config=settings,
        )
        best = torch.stack(out.logits)[:, 0].float().topk(2).values
        tokens = out.sequences[0, len(prompt) :].tolist()
        answers.append(Reference(list(prompt), tokens, (best[:, 0] - best[:, 1]).tolist()))
    model.set_attn_implementation(serving)
    return answers


def compare(references: Sequence[Reference], outputs: Sequence[Any], tally: Tally) -> None:
    """Every token of every answer equal, except after a near tie, which is counted."""
    pairs = [
        (expected, output, completion.token_ids)
        for expected, output in zip(references, outputs, strict=True)
        for completion in output.outputs
    ]
    for expected, output, got in pairs:
        assert len(got) == len(expected.tokens)
        for position, (a, b) in enumerate(zip(expected.tokens, got, strict=True)):
            tally.compared += 1
            if a != b:
                margin = expected.margins[position]
                assert margin < MARGIN, (
                    f"request {output.request_id}, position {position}: {b} instead of {a}, "
                    f"where the reference prefers {a} by {margin:.2e}"
                )
                tally.near_ties += 1
                break


SCHEDULERS = (
    ("static", None),
    ("orca", None),
    ("vllm", None),
    ("sarathi", None),
    ("sarathi", 32),
    ("sarathi", 8),
)
TIGHT = {1: 140, 16: 9, 64: 4}  # blocks: room for two of the long prompts, not for their answers
SETTINGS = (SCHEDULERS, (1, 16, 64), ("ample", "tight"), (True, False))
Case = tuple[Any, ...]


def serve(loaded: LoadedModel, prompts: Sequence[Sequence[int]], case: Case) -> tuple[list, LLM]:
    """Serve `prompts` greedily under one combination of SETTINGS."""
    (scheduler, budget), block_size, memory, caching = case
    llm = LLM(
        loaded,
        scheduler=scheduler,
        max_num_batched_tokens=budget,
        max_num_seqs=min(8, budget or 8),
        block_size=block_size,
        num_blocks=TIGHT[block_size] if memory == "tight" else 40 * 16 // block_size + 16,
        enable_prefix_caching=caching,
    )
    sampling = SamplingParams(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True)
    if caching:  # the first prompt's blocks are then there to be found
        llm.generate(list(prompts[0]), sampling)
    outputs = llm.generate([list(p) for p in prompts], sampling)
    return outputs, llm


MEMORIES: dict[str, dict[str, Any]] = {
    "paged": {"kv_cache": "paged", "block_size": 8, "num_blocks": 18},
    "paged-uncached": {
        "kv_cache": "paged",
        "block_size": 8,
        "num_blocks": 18,
        "enable_prefix_caching": False,
    },
    "token": {"kv_cache": "token", "num_blocks": 144},
    **{
        f"contiguous-{reserve}": {
            "kv_cache": "contiguous",
            "reserve": reserve,
            "block_size": 8,
            "num_blocks": 44,
        }
        for reserve in ("max", "pow2", "oracle")
    },
}
"""Managers with room for about two of the long prompts and their answers."""


def serve_under_pressure(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    scheduler: str,
    memory: str,
    preemption: str,
    n: int = 1,
) -> tuple[list[RequestOutput], LLM]:
    """Serve `prompts` greedily in a pool that is too small for them. They arrive a few steps apart
    and each outranks those before it, so that policies which rank have somebody to preempt. There
    is CPU memory for one of the long ones, so that some are swapped and some computed again."""
    settings = dict(MEMORIES[memory])
    if preemption == "swap" and make_scheduler(scheduler).preempts:
        settings["num_cpu_blocks"] = 80 // settings.get("block_size", 1)
    llm = LLM(
        loaded,
        scheduler=scheduler,
        preemption=preemption,
        max_num_seqs=6,
        max_num_batched_tokens=96,
        **settings,
    )
    engine, done = llm.engine, {}
    engine.hooks.on("finished", lambda output: done.update({output.request_id: output}))
    sampling = SamplingParams(n=n, temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True)
    ids: list[str] = []
    llm.generate([[5, 6, 7]] * 3, SamplingParams(max_tokens=6))  # who predicts will expect as much
    for number, prompt in enumerate(prompts):
        ids.append(engine.add_request(list(prompt), sampling, priority=-number))
        for _ in range(2):
            engine.step()
            engine.kv_cache.check()
    while engine.has_unfinished:
        engine.step()
        engine.kv_cache.check()
    assert engine.kv_cache.num_free_blocks == engine.config.num_blocks
    return [done[request_id] for request_id in ids], llm


def whole_matrix(*more: Sequence[Any]) -> list[Case]:
    return list(product(*more, *SETTINGS))


def pairwise_cover(*more: Sequence[Any]) -> list[Case]:
    """Few cases in which every pair of values of any two settings occurs together."""
    rng = random.Random(0)
    factors = [*more, *SETTINGS]
    open_pairs = {
        (i, a, j, b)
        for i, j in combinations(range(len(factors)), 2)
        for a in factors[i]
        for b in factors[j]
    }
    cases: list[Case] = []
    while open_pairs:
        best: tuple[int, Case] = (-1, ())
        i, a, j, b = min(open_pairs, key=str)
        for _ in range(30):
            case = [rng.choice(list(factor)) for factor in factors]
            case[i], case[j] = a, b
            covered = sum(p in open_pairs for p in _pairs(case))
            best = max(best, (covered, tuple(case)), key=lambda entry: entry[0])
        open_pairs -= set(_pairs(best[1]))
        cases.append(best[1])
    return cases


def _pairs(case: Sequence[Any]) -> list[tuple[int, Any, int, Any]]:
    return [(i, case[i], j, case[j]) for i, j in combinations(range(len(case)), 2)]
