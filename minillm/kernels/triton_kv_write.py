"""Writing new keys and values into the paged cache, in Triton: one program per token."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from minillm.kernels.fp8 import FP8, as_bytes
from minillm.kernels.jit import jit
from minillm.kernels.layouts import by_token


@jit
def _e4m3(x, scale_ptr, head, mask):
    """The bytes of fp32 `x / scale` in e4m3, to nearest even, cut to ±448.

    By hand, so that every device writes the same bits, the interpreter too, whose own conversion
    loses a carry.
    """
    if scale_ptr is not None:
        x = x / tl.load(scale_ptr + head, mask, 1.0)
    size = tl.minimum(tl.abs(x), 448.0)
    bits = size.to(tl.int32, bitcast=True)
    # From 2⁻⁶ on: keep 3 of 23 bits of mantissa, and make the exponent's bias 7 of 127.
    normal = ((bits + 0x7FFFF + (bits >> 20 & 1)) >> 20) - (120 << 3)
    # Below, a multiple of 2⁻⁹: what is left of 2¹⁴ + size is that multiple.
    small = (size + 16384.0).to(tl.int32, bitcast=True) - 0x46800000
    code = tl.where(size < 0.015625, small, normal)
    code = tl.where(x == x, code, 0x7F)  # not a number
    return (code | tl.where(x < 0, 0x80, 0)).to(tl.uint8)


@jit
def _write_kv(
    key_ptr,  # [T, Hkv, D], by its strides
    value_ptr,  # [T, Hkv, Dv], by its strides
    k_cache_ptr,  # [num_blocks, block_size, Hkv, D / X, X], by its strides
    v_cache_ptr,  # [num_blocks, block_size, Hkv, Dv], by its strides
    slot_mapping_ptr,  # [T]
    k_scale_ptr,  # [Hkv] fp32, or None: 1
    v_scale_ptr,
    key_strides,
    value_strides,
    k_strides,
    v_strides,
    NUM_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    X: tl.constexpr,
    BLOCK_SIZE: tl.constexpr,
    FP8: tl.constexpr,  # the caches hold e4m3, as bytes
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
    key = tl.load(key_ptr + token * key_strides[0] + head * key_strides[1] + dim, mask)
    if FP8:
        key = _e4m3(key.to(tl.float32), k_scale_ptr, head, mask)
    else:
        key = key.to(k_cache_ptr.dtype.element_ty)
    at = block * k_strides[0] + slot * k_strides[1] + head * k_strides[2]
    tl.store(k_cache_ptr + at + dim // X * k_strides[3] + dim % X, key, mask)
    i = tl.arange(0, V_ELEMENTS)
    mask, head, dim = i < NUM_HEADS * V_DIM, i // V_DIM, i % V_DIM
    value = tl.load(value_ptr + token * value_strides[0] + head * value_strides[1] + dim, mask)
    if FP8:
        value = _e4m3(value.to(tl.float32), v_scale_ptr, head, mask)
    else:
        value = value.to(v_cache_ptr.dtype.element_ty)
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
    k_scale: torch.Tensor | None = None,
    v_scale: torch.Tensor | None = None,
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
            as_bytes(k_cache),
            as_bytes(v_cache),
            slot_mapping,
            k_scale,
            v_scale,
            key.stride()[:2],
            value.stride()[:2],
            k_cache.stride()[:4],
            v_cache.stride(),
            NUM_HEADS=num_heads,
            HEAD_DIM=head_dim,
            V_DIM=v_dim,
            X=k_cache.shape[4],
            BLOCK_SIZE=k_cache.shape[1],
            FP8=k_cache.dtype == FP8,
            K_ELEMENTS=triton.next_power_of_2(num_heads * head_dim),
            V_ELEMENTS=triton.next_power_of_2(num_heads * v_dim),
        )
