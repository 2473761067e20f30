"""On a CUDA device: the same answers as on the CPU, and every scheduler under memory pressure.

make test-gpu
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.parity import NEW_TOKENS, SCHEDULERS, TIGHT, prompts_for

from minillm import LLM, SamplingParams
from minillm.execution.loader import load_model

pytestmark = pytest.mark.gpu
GREEDY = SamplingParams(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True)


@pytest.fixture(scope="module")
def on_cuda() -> Any:
    torch.backends.cuda.matmul.allow_tf32 = False
    return load_model("pocket", device="cuda", dtype="float32")


@pytest.fixture(scope="module")
def answers() -> list[list[int]]:
    llm = LLM("pocket", device="cpu", dtype="float32", num_blocks=400)
    prompts = prompts_for(llm.loaded.vocab_size)
    return [o.outputs[0].token_ids for o in llm.generate(prompts, GREEDY)]


@pytest.mark.parametrize("block_size", TIGHT)
@pytest.mark.parametrize(("scheduler", "budget"), SCHEDULERS)
def test_cuda_answers_as_the_cpu_does(
    on_cuda: Any, answers: list[list[int]], scheduler: str, budget: int | None, block_size: int
) -> None:
    llm = LLM(
        on_cuda,
        scheduler=scheduler,
        max_num_batched_tokens=budget,
        block_size=block_size,
        num_blocks=TIGHT[block_size],
        enable_prefix_caching=False,
    )
    outputs = llm.generate(prompts_for(on_cuda.vocab_size), GREEDY)
    assert [o.outputs[0].token_ids for o in outputs] == answers
    llm.engine.kv_cache.check()


def test_bfloat16_is_chosen_and_serves() -> None:
    llm = LLM("pocket", device="cuda")
    assert llm.loaded.dtype == torch.bfloat16
    (output,) = llm.generate("The fox", GREEDY)
    assert len(output.outputs[0].token_ids) == NEW_TOKENS


def test_the_pool_is_sized_from_device_memory() -> None:
    llm = LLM("pocket", device="cuda", max_num_seqs=100_000, max_num_batched_tokens=100_000)
    free, _ = torch.cuda.mem_get_info()
    held = llm.engine.config.num_blocks * 16 * llm.loaded.kv_bytes_per_token
    assert held > 0.5 * free
