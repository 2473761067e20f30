"""Paged attention in plain torch, for any device: gather through the block table, then dense.

Decodes are computed together: by the C kernel of `decode_attention.py` where it serves, else as a
handful of dense attentions per step however many sequences there are. Prefill chunks are computed
one by one. Grouped queries are attended as extra query rows of their KV head, so that keys and
values are never repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from minillm.kernels.decode_attention import decode_attention, serves
from minillm.kernels.fp8 import FP8, as_bytes
from minillm.kernels.layouts import as_nhd
from minillm.kernels.plan import AttentionPlan, DecodeGroup, PrefillChunk, plan_attention

SCORES_AT_ONCE = 1 << 25  # elements of the explicit score matrix held at a time


def paged_attention(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    block_tables: torch.Tensor,
    seq_lens: torch.Tensor,
    query_start_loc: torch.Tensor,
    *,
    scale: float,
    sliding_window: int | None = None,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
    layout: str = "NHD",
    k_scale: torch.Tensor | None = None,
    v_scale: torch.Tensor | None = None,
    plan: AttentionPlan | None = None,
) -> torch.Tensor:
    """Causal attention of packed queries over a paged cache that already holds their K and V.

    q: [T, Hq, D], the queries of B sequences back to back; sequence b owns rows
    `query_start_loc[b]:query_start_loc[b + 1]`, which are the last ones of its `seq_lens[b]`
    tokens. k_cache: [num_blocks, block_size, Hkv, D], v_cache the same with its own Dv, or another
    `layout` of `layouts.py` (here packed keys are copied). block_tables: [B, max_blocks], padded
    with anything; token i of sequence b is in block `block_tables[b, i // block_size]`. seq_lens:
    [B], query_start_loc: [B + 1], integers. sliding_window counts the current token. softcap:
    scores become `softcap * tanh(scores / softcap)`. sinks: [Hq] logits that take part in the
    softmax and attend to nothing. k_scale, v_scale: [Hkv] fp32, by which what the caches hold is
    to be multiplied (`fp8.py`). `plan` is reused between layers. Returns [T, Hq, Dv] in q's dtype.
    """
    if layout != "NHD":
        k_cache, v_cache = as_nhd(k_cache, v_cache, layout)
    if plan is None:
        plan = plan_attention(block_tables, seq_lens, query_start_loc, k_cache.shape[1])
    if k_scale is not None:  # scores are linear in keys, and in queries
        q = _by_kv_head(q, k_scale)
    out = q.new_empty(q.shape[0], q.shape[1], v_cache.shape[-1])
    groups: list[DecodeGroup] = []
    if not serves(q, k_cache, v_cache):
        groups = plan.decode_groups(sliding_window)
    elif (rows := plan.decode_rows(sliding_window)) is not None:
        tensors = (q, k_cache, v_cache, rows, out)
        decode_attention(*tensors, scale=scale, softcap=softcap, sinks=sinks)
    chunks = plan.prefill_chunks(sliding_window)
    if groups or chunks:
        _gathered(q, k_cache, v_cache, groups, chunks, out, scale, softcap, sinks)
    return out if v_scale is None else _by_kv_head(out, v_scale)


def _by_kv_head(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Each query head of x [T, Hq, D] times the scale [Hkv] of its KV head, in x's dtype."""
    by_head = scale.repeat_interleave(x.shape[1] // len(scale))
    return (x * by_head[:, None]).to(x.dtype)


def _gathered(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    groups: Sequence[DecodeGroup],
    chunks: Sequence[PrefillChunk],
    out: torch.Tensor,
    scale: float,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> None:
    """Attention of these pieces over their keys and values, gathered; written to `out`."""
    kv_heads = k_cache.shape[2]
    q = q.reshape(len(q), kv_heads, -1, q.shape[2])  # [T, Hkv, G, D]
    out = out.view(*q.shape[:3], -1)
    sinks = None if sinks is None else sinks.view(kv_heads, -1)
    for group in groups:
        # [B, L, Hkv, D]
        k, v = (_gather(cache, group.slots, q.dtype) for cache in (k_cache, v_cache))
        mask = None if group.mask is None else group.mask[:, None, None]
        queries = q[group.tokens]  # [B, Hkv, G, D]
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        if softcap is None and sinks is None:
            attended = F.scaled_dot_product_attention(queries, k, v, attn_mask=mask, scale=scale)
        else:
            attended = _explicit(queries, k, v, mask, scale, softcap, sinks)
        out[group.tokens] = attended
    for chunk in chunks:
        # [L, Hkv, D]
        k, v = (_gather(cache, chunk.slots, q.dtype) for cache in (k_cache, v_cache))
        queries = q[chunk.start : chunk.end].permute(1, 2, 0, 3)  # [Hkv, G, T, D]
        k, v = k.transpose(0, 1)[:, None], v.transpose(0, 1)[:, None]  # [Hkv, 1, L, D]
        if softcap is None and sinks is None:
            attended = F.scaled_dot_product_attention(
                queries,
                k.expand(-1, queries.shape[1], -1, -1),
                v.expand(-1, queries.shape[1], -1, -1),
                attn_mask=chunk.mask,
                is_causal=chunk.mask is None,
                scale=scale,
            )
        else:
            attended = _explicit_chunk(queries, k, v, chunk.mask, scale, softcap, sinks)
        out[chunk.start : chunk.end] = attended.permute(2, 0, 1, 3)


def _gather(cache: torch.Tensor, slots: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[num_blocks, block_size, H, D] at slots [...] → [..., H, D] in `dtype`."""
    if cache.dtype == FP8:
        return _gather(as_bytes(cache), slots, torch.uint8).view(FP8).to(dtype)
    heads = cache.shape[2:]
    if cache.is_contiguous():  # copying whole rows is markedly quicker than advanced indexing
        rows = cache.view(-1, heads[0] * heads[1])
        return F.embedding(slots, rows).view(*slots.shape, *heads)
    size = cache.shape[1]
    return cache[slots // size, slots % size]


def _explicit(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """Softmax spelled out in fp32, for softcap and sinks.

    q: [..., Hkv, Q, D], k: [..., Hkv, L, D], mask broadcasts to [..., Hkv, Q, L]; sinks
    broadcast to [..., Hkv, Q].
    """
    scores = torch.matmul(q.float() * scale, k.float().transpose(-1, -2))
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    if sinks is None:
        weights = scores.softmax(-1)
    else:
        sinks = sinks.float().expand(scores.shape[:-1]).unsqueeze(-1)
        weights = torch.cat((scores, sinks), -1).softmax(-1)[..., :-1]
    return torch.matmul(weights, v.float()).to(q.dtype)


def _explicit_chunk(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    scale: float,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """`_explicit` over queries [Hkv, G, T, D] a slice at a time, so that scores stay small."""
    length = k.shape[-2]
    if mask is None:
        mask = torch.ones(q.shape[2], length, dtype=torch.bool, device=q.device).tril()
    sinks = None if sinks is None else sinks[..., None]  # [Hkv, G, 1]
    slice_len = max(1, SCORES_AT_ONCE // (q.shape[0] * q.shape[1] * length))
    slices = zip(q.split(slice_len, dim=2), mask.split(slice_len), strict=True)
    return torch.cat([_explicit(part, k, v, m, scale, softcap, sinks) for part, m in slices], dim=2)
