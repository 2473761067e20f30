"""Weights laid out anew compute what they did before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from minillm.execution.linear_layout import PAGE, WIDE, PackedLinear, lay_out_linears


class Model(nn.Module):
    def __init__(self, outputs: int, bias: bool) -> None:
        super().__init__()
        self.inner = nn.Linear(24, outputs, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


@pytest.fixture(autouse=True)
def with_mkl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layouts are right anywhere, if not everywhere the faster ones."""
    monkeypatch.setattr("torch.backends.mkl.is_available", lambda: True)


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("outputs", [40, PAGE // 4, WIDE])
@pytest.mark.parametrize("shape", [(1, 24), (33, 24), (1, 5, 24)])
def test_outputs_stay_the_same(outputs: int, bias: bool, shape: tuple[int, ...]):
    torch.manual_seed(0)
    model, x = Model(outputs, bias), torch.randn(shape)
    want = model(x)
    lay_out_linears(model)
    torch.testing.assert_close(model(x), want, rtol=0, atol=2e-6)


def test_narrow_weights_are_stored_by_input_and_wide_ones_packed():
    narrow, aligned, wide = Model(40, True), Model(PAGE // 4, True), Model(WIDE, True)
    before = narrow.inner.weight.clone()
    for model in (narrow, aligned, wide):
        lay_out_linears(model)
    assert narrow.inner.weight.stride() == (1, 40)
    assert torch.equal(narrow.inner.weight, before)
    assert aligned.inner.weight.stride()[1] * 4 % PAGE != 0
    assert isinstance(wide.inner, PackedLinear) == torch.backends.mkldnn.is_available()


def test_shared_half_precision_and_derived_weights_are_left_alone():
    class Special(nn.Linear):
        pass

    embedding, head = nn.Embedding(WIDE, 8), nn.Linear(8, WIDE, bias=False)
    head.weight = embedding.weight
    tied = nn.Sequential(embedding, head)
    half = nn.Sequential(nn.Linear(8, 16).bfloat16())
    special = nn.Sequential(Special(8, 16))
    for model in (tied, half, special):
        before = [(type(m), p.stride()) for m in model.modules() for p in m.parameters()]
        lay_out_linears(model)
        after = [(type(m), p.stride()) for m in model.modules() for p in m.parameters()]
        assert after == before
    assert head.weight is embedding.weight
