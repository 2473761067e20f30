"""On a CUDA device: CUDA graphs, scheduling a step ahead and torch.compile change no answer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from engine.parity import NEW_TOKENS, prompts_for

from minillm import LLM, SamplingParams
from minillm.execution.loader import load_model
from minillm.execution.packing import PackedBatch
from minillm.execution.torch_executor import TorchExecutor

pytestmark = pytest.mark.gpu
GREEDY = SamplingParams(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True)
PLAIN: dict[str, Any] = {"async_scheduling": False, "enforce_eager": True}
FASTER: list[dict[str, Any]] = [
    {"async_scheduling": False},
    {"enforce_eager": True},
    {},
    {"torch_compile": True},
]


@pytest.fixture(scope="module")
def on_cuda() -> Any:
    torch.backends.cuda.matmul.allow_tf32 = False
    return load_model("pocket", device="cuda", dtype="float32")


@pytest.mark.parametrize("faster", FASTER, ids=lambda settings: "+".join(settings) or "default")
@pytest.mark.parametrize("memory", [{}, {"preemption": "swap", "num_cpu_blocks": 400}])
def test_the_same_answers(on_cuda: Any, faster: dict[str, Any], memory: dict[str, Any]) -> None:
    prompts = prompts_for(on_cuda.vocab_size)
    settings = {"num_blocks": 40, "block_size": 16, **memory}
    answers = []
    for loop in (PLAIN, faster):
        llm = LLM(on_cuda, **settings, **loop)
        answers.append([o.outputs[0].token_ids for o in llm.generate(prompts, GREEDY)])
        llm.engine.kv_cache.check()
        assert llm.trace.metrics()["completed"] == len(prompts)
    assert answers[0] == answers[1]


def test_decodes_come_from_graphs_unless_somebody_watches_the_attention(on_cuda: Any) -> None:
    llm = LLM(on_cuda, num_blocks=200)
    executor = llm.engine.executor
    assert isinstance(executor, TorchExecutor)
    assert executor.graphs is not None
    sizes: list[int] = []
    run = executor.graphs.run

    def counted(batch: PackedBatch) -> torch.Tensor:
        sizes.append(len(batch.seq_lens))
        return run(batch)

    executor.graphs.run = counted
    llm.generate([[5, 6, 7], [8, 9, 10, 11, 12]], GREEDY)
    assert sizes == [2] * (NEW_TOKENS - 1)
    llm.engine.hooks.on("attention", lambda read: None)
    llm.generate([[5, 6, 7]], GREEDY)
    assert len(sizes) == NEW_TOKENS - 1
