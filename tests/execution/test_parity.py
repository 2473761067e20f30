"""Logits of packed, chunked, paged steps against plain transformers eager, at every position."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from execution.steps import Schedule, logits_in_steps, request, run, scattered_tables
from tiny_models import FAMILIES, VOCAB, tiny_model_folder
from transformers import AutoModelForCausalLM

from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.execution.torch_executor import TorchExecutor
from minillm.request import Request

LENGTHS = (45, 3, 22, 31)
SAMPLE = (  # block size for the normal run; the rest of the matrix is marked full
    {name: (1, 8, 16, 64)[i % 4] for i, name in enumerate(FAMILIES)}
)


@pytest.fixture(autouse=True, scope="module")
def _quiet():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LoadedModel]:
    models: dict[str, LoadedModel] = {}

    def load(family: str) -> LoadedModel:
        if family not in models:
            folder = tiny_model_folder(family, tmp_path_factory.mktemp(family))
            models[family] = load_model(str(folder))
        return models[family]

    return load


def prompts(seed: int = 0) -> list[list[int]]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randint(3, VOCAB, (n,), generator=rng).tolist() for n in LENGTHS]


def eager_logits(folder: str, prompt: list[int]) -> torch.Tensor:
    reference = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.inference_mode():
        tokens = torch.tensor([prompt])
        mask = torch.ones_like(tokens)
        return reference(input_ids=tokens, attention_mask=mask, use_cache=False).logits[0]


class Staggered:
    """Request i starts at step i; odd ones go token by token beside the others' chunks."""

    def __init__(self) -> None:
        self.step = 0

    def __call__(self, requests: list[Request]) -> list[int]:
        self.step += 1
        return [
            min(r.num_uncomputed_tokens, 1 if i % 2 else 7) if i < self.step else 0
            for i, r in enumerate(requests)
        ]


def whole(requests: list[Request]) -> list[int]:
    return [r.num_uncomputed_tokens for r in requests]


def check(model: LoadedModel, schedule: Schedule, block_size: int) -> None:
    got = logits_in_steps(model, prompts(), schedule, block_size)
    for prompt, logits in zip(prompts(), got, strict=True):
        want = eager_logits(model.name, prompt)
        assert want.std() > 0.01  # a model that says nothing would agree with anything
        torch.testing.assert_close(logits, want, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_chunks_and_decodes_packed_together(family: str, loaded):
    check(loaded(family), Staggered(), SAMPLE[family])


@pytest.mark.full
@pytest.mark.parametrize("block_size", [1, 8, 16, 64])
@pytest.mark.parametrize("schedule", [Staggered, lambda: whole], ids=["staggered", "whole"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_at_every_block_size(
    family: str, schedule: Callable[[], Schedule], block_size: int, loaded
):
    check(loaded(family), schedule(), block_size)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_oss", "gpt2"])
def test_greedy_tokens_equal_generate(family: str, loaded):
    model = loaded(family)
    requests = [request(i, p, max_tokens=12) for i, p in enumerate(prompts())]
    tables, num_blocks = scattered_tables(requests, 8)
    executor = TorchExecutor(model, num_blocks=num_blocks, block_size=8)
    got = run(executor, requests, tables)
    reference: Any = AutoModelForCausalLM.from_pretrained(
        model.name, attn_implementation="eager"
    ).eval()
    for prompt, tokens in zip(prompts(), got, strict=True):
        inputs = torch.tensor([prompt])
        want = reference.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=12,
            min_new_tokens=12,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        assert tokens == want[0, len(prompt) :].tolist()


def test_two_engines_share_one_model(loaded):
    """Interleaved steps of two executors give what each gives alone: no state in the model."""
    model = loaded("mistral")

    def start() -> tuple[TorchExecutor, list[Request], list[list[int]]]:
        requests = [request(i, p, max_tokens=6) for i, p in enumerate(prompts())]
        tables, num_blocks = scattered_tables(requests, 8)
        executor = TorchExecutor(model, num_blocks=num_blocks, block_size=8)
        return executor, requests, tables

    alone = run(*start())
    one, two = start(), start()
    for limit in range(1, 7):
        for executor, requests, tables in (one, two):
            for r in requests:
                r.max_tokens = limit
            run(executor, requests, tables)
    assert [r.output_token_ids for r in one[1]] == alone
    assert [r.output_token_ids for r in two[1]] == alone


def test_threads_share_one_model(loaded):
    """As sessions of the app do: each with an engine and a thread of its own."""
    model = loaded("gemma2")

    def outputs(seed: int) -> list[list[int]]:
        requests = [request(i, p, max_tokens=8) for i, p in enumerate(prompts(seed))]
        tables, num_blocks = scattered_tables(requests, 8)
        executor = TorchExecutor(model, num_blocks=num_blocks, block_size=8)
        return run(executor, requests, tables)

    alone = [outputs(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(outputs, range(4))) == alone


def test_recompute_after_preemption_changes_nothing(loaded):
    model = loaded("qwen3")

    def outputs(preempt_at: int | None) -> list[list[int]]:
        requests = [request(i, p, max_tokens=10, temperature=1.0) for i, p in enumerate(prompts())]
        tables, num_blocks = scattered_tables(requests, 8)
        executor = TorchExecutor(model, num_blocks=num_blocks, block_size=8, seed=5)
        return run(executor, requests, tables, preempt_at=preempt_at)

    assert outputs(None) == outputs(9)
