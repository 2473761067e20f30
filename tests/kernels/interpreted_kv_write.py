"""The Triton KV write under the interpreter. `test_triton.py` runs this file."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.kernels import kv_write, write_kv
from minillm.kernels.layouts import cache_shapes


@settings(max_examples=20)
@given(
    st.lists(st.integers(-1, 23), unique_by=lambda slot: slot if slot >= 0 else object()),
    st.integers(1, 3),
    st.sampled_from([("NHD", 1), ("NHD", 5), ("HND", 20), ("packed", 8), ("packed", 20)]),
    st.sampled_from([1, 6, 8]),
    st.integers(0, 2**16),
)
def test_writes_as_torch_does(
    slots: list[int], heads: int, layout_and_dim: tuple[str, int], v_dim: int, seed: int
):
    layout, dim = layout_and_dim
    rng = torch.Generator().manual_seed(seed)
    key = torch.randn(heads, len(slots), dim, generator=rng).transpose(0, 1)  # as attention has it
    value = torch.randn(heads, len(slots), v_dim, generator=rng).transpose(0, 1)
    shapes = cache_shapes(layout, 6, 4, heads, head_dim=dim, v_dim=v_dim, itemsize=4)
    k_cache, v_cache = (torch.zeros(shape) for shape in shapes)
    k_wanted, v_wanted = k_cache.clone(), v_cache.clone()
    slot_mapping = torch.tensor(slots, dtype=torch.int64)
    write_kv(key, value, k_cache, v_cache, slot_mapping, layout=layout, backend="triton")
    kv_write.write_kv(key, value, k_wanted, v_wanted, slot_mapping, layout=layout)
    assert torch.equal(k_cache, k_wanted)
    assert torch.equal(v_cache, v_wanted)


@pytest.mark.parametrize(("dtype", "ulp"), [(torch.float16, 0), (torch.bfloat16, 2**-7)], ids=str)
def test_converts_to_the_caches_dtype(dtype: torch.dtype, ulp: float):
    """The interpreter cuts bf16 off where hardware rounds: one unit in the last place."""
    key = torch.linspace(-3, 3, 24).view(2, 3, 4)
    k_cache, v_cache = torch.zeros(2, 2, 3, 4, dtype=dtype), torch.zeros(2, 2, 3, 4, dtype=dtype)
    write_kv(key, -key, k_cache, v_cache, torch.tensor([3, 0]), backend="triton")
    wanted = key.to(dtype)
    torch.testing.assert_close(k_cache.view(4, 3, 4)[[3, 0]], wanted, rtol=ulp, atol=0)
    torch.testing.assert_close(v_cache.view(4, 3, 4)[[3, 0]], -wanted, rtol=ulp, atol=0)
    assert not k_cache.view(4, 3, 4)[[1, 2]].any()
