"""An engine on interpreted Triton kernels. `test_triton.py` runs this file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import VOCAB, tiny_model_folder

from minillm import LLM, SamplingParams
from minillm.execution.cuda_graphs import DecodeGraphs, Graph
from minillm.execution.loader import load_model
from minillm.execution.packing import PackedBatch
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


def test_decodes_from_graphs_are_those_without(tmp_path: Path):
    """What is recorded for CUDA graphs, with plain calls in their place: fixed tensors, batches
    filled up, splits chosen for the longest sequence."""
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)))
    rng = torch.Generator().manual_seed(1)
    prompts = [torch.randint(3, VOCAB, (n,), generator=rng).tolist() for n in (19, 4, 7)]
    params = [replace(GREEDY, max_tokens=n) for n in (3, 6, 5)]
    answers, recorded = [], []

    def capture(compute: Callable[[], torch.Tensor]) -> Graph:
        recorded.append(again(compute))
        return recorded[-1]

    for graphs in (False, True):
        llm = LLM(loaded, attention_backend="triton", num_blocks=64, block_size=8, max_num_seqs=8)
        executor = llm.engine.executor
        assert isinstance(executor, TorchExecutor)
        assert executor.graphs is None  # this is no CUDA device
        if graphs:
            with torch.inference_mode():
                executor.graphs = CountingGraphs(
                    executor.forward,
                    executor.kv,
                    max_num_seqs=8,
                    max_model_len=64,
                    backend="triton",
                    capture=capture,
                )
        answers.append([o.outputs[0].token_ids for o in llm.generate(prompts, params)])
        if graphs:
            assert isinstance(executor.graphs, CountingGraphs)
            assert executor.graphs.rows == [3, 3, 2, 2, 1]
    assert answers[0] == answers[1]
    assert [len(graph.logits) for graph in recorded] == [8, 4, 2, 1]
    assert len({graph.logits.data_ptr() for graph in recorded}) == 1  # one set for all


class CountingGraphs(DecodeGraphs):
    def run(self, batch: PackedBatch) -> torch.Tensor:
        self.rows = [*getattr(self, "rows", []), len(batch.seq_lens)]
        return super().run(batch)


def again(compute: Callable[[], torch.Tensor]) -> Graph:
    """As a graph does: the same work on the same tensors, to the same result tensor."""
    logits = compute()

    def replay() -> None:
        logits.copy_(compute())

    return Graph(replay, logits)


def test_auto_takes_triton(tmp_path: Path):
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)))
    executor = TorchExecutor(loaded, num_blocks=8, block_size=4)
    assert executor.attention_backend == "triton"
