"""Writing new keys and values into the paged cache."""

from __future__ import annotations

import torch

from minillm.kernels.cpu_ops import can_write, write_rows
from minillm.kernels.fp8 import FP8, as_bytes, to_fp8
from minillm.kernels.layouts import by_token


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
    """Store token t of `key` and `value` at slot `slot_mapping[t]`, in place.

    key: [T, Hkv, D], value: [T, Hkv, Dv]; caches: [num_blocks, block_size, Hkv, D] (and Dv) or as
    `layouts.py` says, contiguous. slot_mapping: [T] int64, `block * block_size + offset`; −1 skips
    the token. k_scale, v_scale: [Hkv] fp32, of caches of fp8 (`fp8.py`). `padded=False` promises
    that there is no −1, which saves a look at the device.
    """
    if padded:
        kept = slot_mapping >= 0
        key, value, slot_mapping = key[kept], value[kept], slot_mapping[kept]
    pairs = ((key, k_cache), (value, v_cache))
    if layout == "NHD" and all(can_write(new, cache, slot_mapping) for new, cache in pairs):
        slot_mapping = slot_mapping.contiguous()
        write_rows(key, k_cache, slot_mapping)
        write_rows(value, v_cache, slot_mapping)
        return
    key, value = _stored(key, k_cache, k_scale), _stored(value, v_cache, v_scale)
    k_cache, v_cache = as_bytes(k_cache), as_bytes(v_cache)
    if layout == "NHD":
        k_cache.view(-1, *k_cache.shape[2:]).index_copy_(0, slot_mapping, key)
        v_cache.view(-1, *v_cache.shape[2:]).index_copy_(0, slot_mapping, value)
        return
    k_view, v_view = by_token(k_cache, v_cache, layout)
    block, slot = slot_mapping // k_view.shape[1], slot_mapping % k_view.shape[1]
    k_view[block, slot] = key.unflatten(2, k_view.shape[3:])
    v_view[block, slot] = value


def _stored(new: torch.Tensor, cache: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """`new` as `cache` holds it."""
    return as_bytes(to_fp8(new, scale)) if cache.dtype == FP8 else new.to(cache.dtype)
