"""An engine on interpreted Triton kernels. `test_triton.py` runs this file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import VOCAB, tiny_model_folder

from minillm import LLM, SamplingParams
from minillm.execution.loader import load_model
from minillm.execution.torch_executor import TorchExecutor

GREEDY = SamplingParams(temperature=0, max_tokens=6, ignore_eos=True)


@pytest.mark.parametrize("kv_cache", ["paged", "token"])
def test_triton_and_torch_generate_the_same(kv_cache: str, tmp_path: Path):
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)))
    rng = torch.Generator().manual_seed(0)
    prompts = [torch.randint(3, VOCAB, (n,), generator=rng).tolist() for n in (33, 4, 17)]
    answers: dict[str, list[list[int]]] = {}
    for backend in ("torch", "triton"):
        llm = LLM(
            loaded,
            attention_backend=backend,
            kv_cache=kv_cache,
            num_blocks=200,
            max_num_batched_tokens=24,
        )
        kernels: set[str] = set()
        llm.engine.hooks.on("attention", lambda read, kernels=kernels: kernels.add(read.kernel))
        answers[backend] = [o.outputs[0].token_ids for o in llm.generate(prompts, GREEDY)]
        assert kernels == {backend}
    assert answers["triton"] == answers["torch"]


def test_auto_takes_triton(tmp_path: Path):
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)))
    executor = TorchExecutor(loaded, num_blocks=8, block_size=4)
    assert executor.attention_backend == "triton"
