"""Writing new keys and values into the paged cache, in Triton: one program per token."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from minillm.kernels.jit import jit
from minillm.kernels.layouts import by_token


@jit
def _write_kv(
    key_ptr,  # [T, Hkv, D], by its strides
    value_ptr,  # [T, Hkv, Dv], by its strides
    k_cache_ptr,  # [num_blocks, block_size, Hkv, D / X, X], by its strides
    v_cache_ptr,  # [num_blocks, block_size, Hkv, Dv], by its strides
    slot_mapping_ptr,  # [T]
    key_strides,
    value_strides,
    k_strides,
    v_strides,
    NUM_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    X: tl.constexpr,
    BLOCK_SIZE: tl.constexpr,
    K_ELEMENTS: tl.constexpr,  # NUM_HEADS * HEAD_DIM, rounded up to a power of two
    V_ELEMENTS: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    to = tl.load(slot_mapping_ptr + token).to(tl.int64)
    if to < 0:
        return
    block, slot = to // BLOCK_SIZE, to % BLOCK_SIZE
    i = tl.arange(0, K_ELEMENTS)
    mask, head, dim = i < NUM_HEADS * HEAD_DIM, i // HEAD_DIM, i % HEAD_DIM
    at = token * key_strides[0] + head * key_strides[1] + dim
    key = tl.load(key_ptr + at, mask).to(k_cache_ptr.dtype.element_ty)
    at = block * k_strides[0] + slot * k_strides[1] + head * k_strides[2]
    tl.store(k_cache_ptr + at + dim // X * k_strides[3] + dim % X, key, mask)
    i = tl.arange(0, V_ELEMENTS)
    mask, head, dim = i < NUM_HEADS * V_DIM, i // V_DIM, i % V_DIM
    at = token * value_strides[0] + head * value_strides[1] + dim
    value = tl.load(value_ptr + at, mask).to(v_cache_ptr.dtype.element_ty)
    at = block * v_strides[0] + slot * v_strides[1] + head * v_strides[2]
    tl.store(v_cache_ptr + at + dim * v_strides[3], value, mask)


def write_kv(
    key: torch.Tensor,
    value: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    *,
    layout: str = "NHD",
    padded: bool = True,
) -> None:
    """As `kv_write.write_kv`. Slots of −1 cost nothing to skip, so `padded` changes nothing."""
    if key.stride(-1) != 1:
        key = key.contiguous()
    if value.stride(-1) != 1:
        value = value.contiguous()
    num_tokens, num_heads, head_dim = key.shape
    v_dim = value.shape[-1]
    k_cache, v_cache = by_token(k_cache, v_cache, layout)
    if num_tokens:
        _write_kv[(num_tokens,)](
            key,
            value,
            k_cache,
            v_cache,
            slot_mapping,
            key.stride()[:2],
            value.stride()[:2],
            k_cache.stride()[:4],
            v_cache.stride(),
            NUM_HEADS=num_heads,
            HEAD_DIM=head_dim,
            V_DIM=v_dim,
            X=k_cache.shape[4],
            BLOCK_SIZE=k_cache.shape[1],
            K_ELEMENTS=triton.next_power_of_2(num_heads * head_dim),
            V_ELEMENTS=triton.next_power_of_2(num_heads * v_dim),
        )
