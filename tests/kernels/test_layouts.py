"""Where a key or value lies in each layout: shapes, bytes, conversions; and attention in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.paged_case import Case, lengths

from minillm.kernels import kv_write
from minillm.kernels.layouts import LAYOUTS, by_token, byte_offset, cache_shapes, convert

SIZES = {"num_blocks": 5, "block_size": 3, "num_kv_heads": 2}


def caches(layout: str, head_dim: int, v_dim: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """K and V, every element with a number of its own."""
    sizes = {"head_dim": head_dim, "v_dim": v_dim, "itemsize": dtype.itemsize}
    shapes = cache_shapes(layout, **SIZES, **sizes)
    return [torch.arange(int(np.prod(shape))).view(shape).to(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_address_is_where_the_element_is(layout: str, dtype: torch.dtype):
    k, v = caches(layout, 8, 6, dtype)
    for kind, cache, dims in (("k", k, 8), ("v", v, 6)):
        block, slot, head, dim = np.indices((5, 3, 2, dims))
        offsets = byte_offset(
            layout, kind, block=block, slot=slot, head=head, dim=dim,
            block_size=3, num_kv_heads=2, head_dim=dims, itemsize=dtype.itemsize,
        )  # fmt: skip
        k_view, v_view = by_token(k, v, layout)
        view = k_view.flatten(3) if kind == "k" else v_view
        assert torch.equal(cache.flatten()[offsets // dtype.itemsize], view)
        assert np.unique(offsets).size * dtype.itemsize == cache.nbytes


def test_neighbours_in_memory():
    """What each layout is for: what lies side by side with token 0's first element of head 0."""

    def step(layout: str, kind: str, **to: int) -> int:
        origin = {"block": 0, "slot": 0, "head": 0, "dim": 0}
        sizes = {"block_size": 16, "num_kv_heads": 8, "head_dim": 128, "itemsize": 2}
        return byte_offset(layout, kind, **origin | to, **sizes)

    assert step("NHD", "k", head=1) == 256  # the token's next head
    assert step("NHD", "k", slot=1) == 8 * 256
    assert step("HND", "k", slot=1) == 256  # the head's next token
    assert step("HND", "k", head=1) == 16 * 256
    assert step("packed", "k", dim=7) == 14
    assert step("packed", "k", slot=1) == 16  # the next token's same eight elements
    assert step("packed", "k", dim=8) == 16 * 16
    assert step("packed", "v", slot=1) == 2  # the next token's same element
    assert {step(name, kind, block=1) for name in LAYOUTS for kind in "kv"} == {16 * 8 * 256}


@pytest.mark.parametrize("source", LAYOUTS)
@pytest.mark.parametrize("target", LAYOUTS)
def test_converting_keeps_every_element(source: str, target: str):
    k, v = caches(source, 8, 6, torch.float32)
    there = convert(k, v, source, target)
    assert [t.shape for t in there] == [t.shape for t in caches(target, 8, 6, torch.float32)]
    for one, other in zip(by_token(k, v, source), by_token(*there, target), strict=True):
        assert torch.equal(one.reshape(5, 3, 2, -1), other.reshape(5, 3, 2, -1))
    k_again, v_again = convert(*there, target, source)
    assert torch.equal(k_again, k)
    assert torch.equal(v_again, v)


def test_what_cannot_be_packed_says_so():
    with pytest.raises(ValueError, match="head size 20 is no multiple of 8"):
        cache_shapes("packed", 1, 1, 1, head_dim=20, v_dim=20, itemsize=2)
    with pytest.raises(ValueError, match="unknown layout 'DNH'; known: 'NHD', 'HND', 'packed'"):
        cache_shapes("DNH", 1, 1, 1, head_dim=8, v_dim=8, itemsize=2)
    with pytest.raises(ValueError, match="kind"):
        byte_offset(
            "NHD", "q", block=0, slot=0, head=0, dim=0,
            block_size=1, num_kv_heads=1, head_dim=8, itemsize=2,
        )  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(
    lengths(),
    st.sampled_from(LAYOUTS),
    st.sampled_from([1, 8, 16]),
    st.sampled_from([8, 20]),
    st.sampled_from([None, 7]),
    st.integers(0, 2**16),
)
def test_attention_in_torch(
    pairs: list[tuple[int, int]],
    layout: str,
    block_size: int,
    v_dim: int,
    window: int | None,
    seed: int,
):
    case = Case(pairs, block_size=block_size, v_dim=v_dim, layout=layout, seed=seed)
    case.check(sliding_window=window)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_writing_skips_negative_slots_and_leaves_the_rest_alone(layout: str):
    shapes = cache_shapes(layout, **SIZES, head_dim=8, v_dim=6, itemsize=4)
    k_cache, v_cache = (torch.zeros(shape) for shape in shapes)
    key, value = torch.randn(3, 2, 8), torch.randn(3, 2, 6)
    kv_write.write_kv(key, value, k_cache, v_cache, torch.tensor([7, -1, 0]), layout=layout)
    for cache, new in zip(convert(k_cache, v_cache, layout, "NHD"), (key, value), strict=True):
        wanted = torch.zeros(15, *new.shape[1:])
        wanted[[7, 0]] = new[[0, 2]]
        assert torch.equal(cache.flatten(0, 1), wanted)
