"""Fused RMS norms: the same numbers, only where they are the same, and out of a compiler's way."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from tiny_models import tiny_model_folder
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from minillm.execution import fused
from minillm.execution.fused.norms import FusedRMSNorm, fuse_norms
from minillm.kernels.cpu_ops import cpu_ops

pytestmark = pytest.mark.skipif(cpu_ops() is None, reason="there is no C compiler")


def _randomised(norm: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    nn.init.normal_(norm.weight)  # type: ignore[arg-type]
    return norm


@pytest.mark.parametrize("kind", [LlamaRMSNorm, GemmaRMSNorm])
@pytest.mark.parametrize("shape", [(1, 1, 40), (1, 700, 40), (2, 3, 4, 40)])
def test_the_same_numbers(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    norm = _randomised(kind(40, eps=1e-5))
    model = nn.Sequential(norm)
    assert (fuse_norms(model), fuse_norms(model)) == (1, 0)
    assert isinstance(model[0], FusedRMSNorm)
    x = 30 * torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(model(x), norm(x), rtol=2e-6, atol=2e-6)
        turned = x.transpose(0, -2)
        torch.testing.assert_close(model(turned), norm(turned), rtol=2e-6, atol=2e-6)


def test_other_formulas_types_and_devices_are_left_alone() -> None:
    class SquaredRMSNorm(LlamaRMSNorm):
        def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
            return super().forward(hidden_states) ** 2

    class OutsideRMSNorm(LlamaRMSNorm):
        """Epsilon after the root: for numbers of an ordinary size, all the same."""

        def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
            root = hidden_states.square().mean(-1, keepdim=True).sqrt()
            return self.weight * hidden_states / (root + self.variance_epsilon)

    norms = (
        SquaredRMSNorm(8),
        OutsideRMSNorm(8, eps=1e-6),
        LlamaRMSNorm(8).half(),
        LlamaRMSNorm(8).to("meta"),
        nn.LayerNorm(8),
    )
    model = nn.Sequential(*norms)
    assert fuse_norms(model) == 0
    assert tuple(model) == norms


@pytest.fixture
def _double_by_default() -> Generator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double_by_default")
def test_a_formula_is_tried_in_fp32_whatever_the_default() -> None:
    norm = _randomised(GemmaRMSNorm(40).float())
    model = nn.Sequential(norm)
    assert fuse_norms(model) == 1
    x = torch.randn(3, 40, dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(model(x), norm(x), rtol=2e-6, atol=2e-6)


def test_without_a_compiler_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "cpu_ops", lambda: None)
    model = nn.Sequential(LlamaRMSNorm(8))
    assert fused.fuse(model, 10) is None
    assert isinstance(model[0], LlamaRMSNorm)


@pytest.mark.parametrize(("family", "norms"), [("llama", 5), ("qwen3", 9), ("gemma2", 9)])
def test_logits_of_whole_models(family: str, norms: int, tmp_path: Path) -> None:
    folder = tiny_model_folder(family, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        before = model(ids).logits
        assert fuse_norms(model) == norms
        torch.testing.assert_close(model(ids).logits, before, rtol=0, atol=1e-5)
