"""Writing new keys and values into the paged cache, in Triton: one program per token."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from minillm.kernels.jit import jit


@jit
def _write_kv(
    key_ptr,  # [T, Hkv, D], by its strides
    value_ptr,  # [T, Hkv, Dv], by its strides
    k_cache_ptr,  # [slots, Hkv, D]
    v_cache_ptr,  # [slots, Hkv, Dv]
    slot_mapping_ptr,  # [T]
    key_token_stride,
    key_head_stride,
    value_token_stride,
    value_head_stride,
    NUM_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    K_ELEMENTS: tl.constexpr,  # NUM_HEADS * HEAD_DIM, rounded up to a power of two
    V_ELEMENTS: tl.constexpr,
):
    token = tl.program_id(0).to(tl.int64)
    slot = tl.load(slot_mapping_ptr + token).to(tl.int64)
    if slot < 0:
        return
    i = tl.arange(0, K_ELEMENTS)
    mask = i < NUM_HEADS * HEAD_DIM
    at = token * key_token_stride + i // HEAD_DIM * key_head_stride + i % HEAD_DIM
    key = tl.load(key_ptr + at, mask).to(k_cache_ptr.dtype.element_ty)
    tl.store(k_cache_ptr + slot * (NUM_HEADS * HEAD_DIM) + i, key, mask)
    i = tl.arange(0, V_ELEMENTS)
    mask = i < NUM_HEADS * V_DIM
    at = token * value_token_stride + i // V_DIM * value_head_stride + i % V_DIM
    value = tl.load(value_ptr + at, mask).to(v_cache_ptr.dtype.element_ty)
    tl.store(v_cache_ptr + slot * (NUM_HEADS * V_DIM) + i, value, mask)


def write_kv(
    key: torch.Tensor,
    value: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    *,
    padded: bool = True,
) -> None:
    """As `kv_write.write_kv`. Slots of −1 cost nothing to skip, so `padded` changes nothing."""
    if key.stride(-1) != 1:
        key = key.contiguous()
    if value.stride(-1) != 1:
        value = value.contiguous()
    num_tokens, num_heads, head_dim = key.shape
    v_dim = value.shape[-1]
    if num_tokens:
        _write_kv[(num_tokens,)](
            key,
            value,
            k_cache.view(-1),
            v_cache.view(-1),
            slot_mapping,
            *key.stride()[:2],
            *value.stride()[:2],
            NUM_HEADS=num_heads,
            HEAD_DIM=head_dim,
            V_DIM=v_dim,
            K_ELEMENTS=triton.next_power_of_2(num_heads * head_dim),
            V_ELEMENTS=triton.next_power_of_2(num_heads * v_dim),
        )
