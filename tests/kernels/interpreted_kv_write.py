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


def test_every_rounding_to_fp8_is_torchs():
    """Bits around every e4m3 number and every midpoint, what is out of range, and no number."""
    codes = torch.arange(127, dtype=torch.uint8).view(torch.float8_e4m3fn).float()
    middles = (codes[1:] + codes[:-1]) / 2
    points = torch.cat((codes, middles))
    points = torch.cat((points, points.nextafter(points + 1), points.nextafter(points - 1)))
    points = torch.cat((points, -points, torch.tensor([460.0, 1e30, -1e30, 1e-30, torch.nan, 0.1])))
    key = points.view(-1, 2, 1).expand(-1, 2, 8)
    slots = torch.arange(len(key)).flip(0)
    scale = torch.tensor([1.0, 0.3])
    caches = [torch.zeros(len(key), 1, 2, 8).to(torch.float8_e4m3fn) for _ in range(4)]
    options = {"k_scale": scale, "v_scale": None}
    write_kv(key, -key, caches[0], caches[1], slots, backend="triton", **options)
    kv_write.write_kv(key, -key, caches[2], caches[3], slots, **options)
    for got, want in zip(caches[:2], caches[2:], strict=True):
        got, want = got.float(), want.float()
        torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
