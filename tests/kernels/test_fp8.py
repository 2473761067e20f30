"""FP8 caches, in torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.paged_case import Case, lengths

from minillm.config import ConfigError
from minillm.kernels.fp8 import FP8_MAX, TOP, check_fp8, scale_for, to_fp8


@settings(deadline=None, max_examples=40)
@given(
    lengths(),
    st.sampled_from([1, 16]),
    st.sampled_from(["NHD", "HND", "packed"]),
    st.sampled_from([None, 2.0]),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_attention_over_what_was_stored(
    pairs: list[tuple[int, int]],
    block_size: int,
    layout: str,
    softcap: float | None,
    with_sinks: bool,
    seed: int,
):
    shape = {"head_dim": 16, "v_dim": 6, "layout": layout}
    sinks = torch.linspace(-2, 2, 4) if with_sinks else None
    case = Case(pairs, block_size=block_size, **shape, fp8=True, seed=seed)
    case.check(softcap=softcap, sinks=sinks)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_queries(dtype: torch.dtype):
    Case([(1, 50), (7, 50)], block_size=16, dtype=dtype, fp8=True).check(0.03)


def test_a_sixteenth_is_the_largest_relative_error():
    x = torch.randn(500, 3, 4) * torch.tensor([0.2, 1, 30])[:, None]
    scale = x.abs().amax((0, 2)) / FP8_MAX
    back = to_fp8(x, scale).float() * scale[:, None]
    normal = x.abs() >= scale[:, None] * 2**-6
    assert bool(((back - x).abs() <= x.abs() / 16)[normal].all())
    assert float(to_fp8(torch.full((1, 1, 1), -1e9), None).float()) == -FP8_MAX


def test_a_gpu_that_cannot_read_it_is_refused(monkeypatch: pytest.MonkeyPatch):
    cuda = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    check_fp8("torch", cuda)
    check_fp8("triton", torch.device("cpu"))
    with pytest.raises(ConfigError, match=r"8\.9 or above; this one has 8\.0"):
        check_fp8("triton", cuda)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    check_fp8("triton", cuda)


def test_scales_are_powers_of_two_that_leave_room():
    x = torch.tensor([[[3.0, -5.0], [0.0, 0.0], [1e-3, 2e-3]]])
    scales = scale_for(x)
    assert scales.log2().frac().abs().max() == 0
    assert scales[1] == 1
    largest = x.abs().amax((0, 2)) / scales
    assert bool((largest <= TOP).all() and (largest[[0, 2]] > TOP / 2).all())
