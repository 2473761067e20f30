"""The compiled forward: one graph without breaks, the same answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_models import VOCAB, tiny_model_folder

from minillm import LLM, SamplingParams
from minillm.config import ConfigError
from minillm.execution.compiled import CompiledForward
from minillm.execution.loader import load_model
from minillm.execution.torch_executor import TorchExecutor


def _compare(family: str, folder: Path, backend: str) -> None:
    """Chunks, mixed batches, single decodes: the tokens of the plain forward, compiled once."""
    loaded = load_model(str(tiny_model_folder(family, folder)), device="cpu")
    generator = torch.Generator().manual_seed(2)
    prompts = [torch.randint(3, VOCAB, (n,), generator=generator).tolist() for n in (21, 4, 9)]
    params = [SamplingParams(temperature=0, max_tokens=n, ignore_eos=True) for n in (9, 4, 6)]
    answers, before = [], 0
    for compiled in (False, True):
        llm = LLM(loaded, num_blocks=40, max_num_batched_tokens=16)
        executor = llm.engine.executor
        assert isinstance(executor, TorchExecutor)
        if compiled:
            executor.forward = CompiledForward(loaded.model, loaded.device, backend=backend)
            before = torch._dynamo.utils.counters["stats"]["unique_graphs"]  # all there will be
        answers.append([output.outputs[0].token_ids for output in llm.generate(prompts, params)])
    assert answers[0] == answers[1]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before


def test_one_graph_serves_every_batch(tmp_path: Path) -> None:
    _compare("llama", tmp_path, "eager")


@pytest.mark.full
@pytest.mark.parametrize("family", ["qwen3", "gemma2", "gpt_oss", "phi3", "olmo3"])
def test_other_families(family: str, tmp_path: Path) -> None:
    _compare(family, tmp_path, "eager")


@pytest.mark.full
def test_with_the_real_compiler(tmp_path: Path) -> None:
    _compare("llama", tmp_path, "inductor")


def test_every_engine_may_compile_its_own_model() -> None:
    """torch gives up where one function is compiled for the ninth time; these share theirs."""

    class Named(torch.nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, input_ids: torch.Tensor, **_: object) -> torch.Tensor:
            return input_ids * ord(self.name)

    for name in "abcdefghi":
        CompiledForward(Named(name), torch.device("cpu"), backend="eager")


def test_what_does_not_compile_is_refused(tmp_path: Path) -> None:
    class Waits(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, **_: object) -> torch.Tensor:
            return input_ids if input_ids.sum().item() > 0 else -input_ids

    with pytest.raises(ConfigError, match="torch_compile=True does not work here"):
        CompiledForward(Waits(), torch.device("cpu"), backend="eager")
