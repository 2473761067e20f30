"""Paged attention in Triton: one kernel for decodes, prefills and batches that mix them.

A program owns one tile of queries of one sequence, for all the query heads that share one KV head,
and walks over its keys in tiles with an online softmax (FlashAttention-2, Dao 2023). The grid
over packed queries with a binary search for the sequence, and key tiles that do not care for the
block size, are vLLM's. Where there are few query tiles, the keys are split too: `splits.py` says
how, `triton_merge.py` puts the parts together.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from minillm.kernels.jit import jit
from minillm.kernels.plan import AttentionPlan, plan_attention
from minillm.kernels.splits import split_keys
from minillm.kernels.tiles import AttentionShape, Tiles, choose_tiles
from minillm.kernels.triton_merge import merge_attention

LOG2E = tl.constexpr(1.4426950408889634)


@jit
def _sequence_of(tile, query_start_loc_ptr, num_seqs, BLOCK_Q: tl.constexpr):
    """The sequence that owns query tile `tile`, by binary search.

    Sequence b's tiles start at `query_start_loc[b] // BLOCK_Q + b`: at least as many as it needs,
    for every batch, without the host knowing the lengths. Spare tiles return at once.
    """
    low = 0
    high = num_seqs
    while low < high:
        middle = (low + high) // 2
        if tl.load(query_start_loc_ptr + middle) // BLOCK_Q + middle <= tile:
            low = middle + 1
        else:
            high = middle
    return low - 1


@jit
def _paged_attention(
    q_ptr,  # [T, Hq, D]
    k_ptr,  # [num_blocks, block_size, Hkv, D], by its strides
    v_ptr,  # [num_blocks, block_size, Hkv, Dv], by its strides
    out_ptr,  # [T, Hq, splits, Dv]
    lse_ptr,  # [T, Hq, splits] fp32
    sinks_ptr,  # [Hq]
    block_tables_ptr,  # [B, max_blocks]
    seq_lens_ptr,  # [B]
    query_start_loc_ptr,  # [B + 1]
    num_seqs,
    split_len,  # tokens
    scale,
    q_token_stride,
    q_head_stride,
    k_block_stride,
    k_slot_stride,
    k_head_stride,
    v_block_stride,
    v_slot_stride,
    v_head_stride,
    table_stride,
    HEAD_DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    PADDED_DIM: tl.constexpr,
    PADDED_V_DIM: tl.constexpr,
    BLOCK_SIZE: tl.constexpr,
    GROUP: tl.constexpr,  # query heads per KV head
    BLOCK_M: tl.constexpr,  # rows of a tile: BLOCK_Q queries by GROUP heads, and padding
    BLOCK_Q: tl.constexpr,
    TILE: tl.constexpr,  # keys per iteration
    WINDOW: tl.constexpr,  # 0: none
    SOFTCAP: tl.constexpr,  # 0: none
    HAS_SINKS: tl.constexpr,
    STORE_LSE: tl.constexpr,
    DOT_IN_FP32: tl.constexpr,
):
    tile = tl.program_id(0)
    kv_head = tl.program_id(1)
    split = tl.program_id(2)
    seq = _sequence_of(tile, query_start_loc_ptr, num_seqs, BLOCK_Q)
    query_start = tl.load(query_start_loc_ptr + seq)
    query_len = tl.load(query_start_loc_ptr + seq + 1) - query_start
    first_query = (tile - (query_start // BLOCK_Q + seq)) * BLOCK_Q
    if first_query >= query_len:
        return
    seq_len = tl.load(seq_lens_ptr + seq)
    first_position = seq_len - query_len + first_query

    # Row r of the tile: query r // GROUP, head r % GROUP of this KV head's group.
    rows = tl.arange(0, BLOCK_M)
    query = first_query + rows // GROUP
    row_mask = (rows // GROUP < BLOCK_Q) & (query < query_len)
    position = seq_len - query_len + query
    head = kv_head * GROUP + rows % GROUP
    token = (query_start + query).to(tl.int64)
    dims = tl.arange(0, PADDED_DIM)
    v_dims = tl.arange(0, PADDED_V_DIM)
    q_at = (token * q_token_stride + head * q_head_stride)[:, None] + dims[None, :]
    q = tl.load(q_ptr + q_at, row_mask[:, None] & (dims < HEAD_DIM)[None, :], 0.0)
    if DOT_IN_FP32:
        q = q.to(tl.float32)

    # The online softmax works in powers of two: 2^(x log2 e) is what the hardware computes.
    highest = tl.full([BLOCK_M], -float("inf"), tl.float32)
    if HAS_SINKS:
        sink = tl.load(sinks_ptr + head, row_mask, 0.0).to(tl.float32) * LOG2E
        highest = tl.where(split == 0, sink, highest)  # a sink is seen once
    total = tl.where(highest == -float("inf"), 0.0, 1.0)
    acc = tl.zeros([BLOCK_M, PADDED_V_DIM], tl.float32)

    # Keys outside [begin, end) are masked for every row, so their tiles are skipped.
    begin = 0
    if WINDOW > 0:
        begin = tl.maximum(first_position - WINDOW + 1, 0)
    begin += split * split_len
    end = tl.minimum(tl.minimum(first_position + BLOCK_Q, seq_len), begin + split_len)
    for start in range(begin, end, TILE):
        at = start + tl.arange(0, TILE)
        inside = at < end
        table_at = block_tables_ptr + seq.to(tl.int64) * table_stride + at // BLOCK_SIZE
        block = tl.load(table_at, inside, 0).to(tl.int64)
        slot = at % BLOCK_SIZE
        k_at = block * k_block_stride + slot * k_slot_stride + kv_head * k_head_stride
        k_mask = inside[:, None] & (dims < HEAD_DIM)[None, :]
        k = tl.load(k_ptr + k_at[:, None] + dims[None, :], k_mask, 0.0)
        v_at = block * v_block_stride + slot * v_slot_stride + kv_head * v_head_stride
        v_mask = inside[:, None] & (v_dims < V_DIM)[None, :]
        v = tl.load(v_ptr + v_at[:, None] + v_dims[None, :], v_mask, 0.0)
        if DOT_IN_FP32:
            k = k.to(tl.float32)
            v = v.to(tl.float32)

        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        if SOFTCAP > 0:
            # tanh(x) = 1 − 2 / (e^2x + 1): no overflow either way
            scores = SOFTCAP * (1 - 2 / (tl.exp2(scores * (2 / SOFTCAP * LOG2E)) + 1))
        visible = inside[None, :] & (at[None, :] <= position[:, None])
        if WINDOW > 0:
            visible &= at[None, :] > position[:, None] - WINDOW
        scores = tl.where(visible, scores * LOG2E, -float("inf"))

        new_highest = tl.maximum(highest, tl.max(scores, 1))
        base = tl.where(new_highest == -float("inf"), 0.0, new_highest)  # −∞ − −∞ is no number
        weights = tl.exp2(scores - base[:, None])
        shrink = tl.exp2(highest - base)
        total = total * shrink + tl.sum(weights, 1)
        acc = tl.dot(weights.to(v.dtype), v, acc * shrink[:, None], input_precision="ieee")
        highest = new_highest

    out_row = (token * (GROUP * tl.num_programs(1)) + head) * tl.num_programs(2) + split
    total = tl.where(total > 0, total, 1.0)  # of a row that saw no key: 0 / 1, and log 1 − ∞
    out = acc / total[:, None]
    out_mask = row_mask[:, None] & (v_dims < V_DIM)[None, :]
    out_at = out_ptr + out_row[:, None] * V_DIM + v_dims[None, :]
    tl.store(out_at, out.to(out_ptr.dtype.element_ty), out_mask)
    if STORE_LSE:
        tl.store(lse_ptr + out_row, (highest + tl.log2(total)) / LOG2E, row_mask)


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
    plan: AttentionPlan | None = None,
    num_splits: int | None = None,
    tiles: Tiles | None = None,
    return_lse: bool = False,
) -> Any:
    """As `torch_attention.paged_attention`, whose docstring has the shapes: [T, Hq, Dv].

    A query that sees no key gets zeros. `plan` tells the lengths without asking the device;
    `num_splits` and `tiles` override what `splits.py` and `tiles.py` would choose. With
    `return_lse` the natural logarithm of each softmax's denominator, sinks included, comes second,
    as in (out, lse): [T, Hq] fp32.
    """
    if layout not in ("NHD", "HND"):
        raise ValueError(f"unknown layout {layout!r}; known: 'NHD', 'HND'")
    if layout == "HND":
        k_cache, v_cache = k_cache.transpose(1, 2), v_cache.transpose(1, 2)
    if plan is None:
        plan = plan_attention(block_tables, seq_lens, query_start_loc, k_cache.shape[1])
    if q.stride(-1) != 1:
        q = q.contiguous()
    num_tokens, num_heads, head_dim = q.shape
    _, block_size, num_kv_heads, v_dim = v_cache.shape
    group = num_heads // num_kv_heads
    if tiles is None:
        shape = AttentionShape(group, head_dim, v_dim, q.dtype, k_cache.dtype)
        tiles = choose_tiles(plan.max_query_len, shape, q.device)
    visible = plan.keys_per_tile(tiles.block_q, sliding_window)
    num_splits, split_len = split_keys(visible, num_kv_heads, tiles.num_sms, num_splits=num_splits)

    partial = torch.float32 if num_splits > 1 else q.dtype
    out = q.new_empty(num_tokens, num_heads, num_splits, v_dim, dtype=partial)
    lse = q.new_empty(num_tokens, num_heads, num_splits, dtype=torch.float32)
    if num_tokens:
        num_tiles = num_tokens // tiles.block_q + len(seq_lens)
        _paged_attention[(num_tiles, num_kv_heads, num_splits)](
            q,
            k_cache,
            v_cache,
            out,
            lse,
            sinks,
            block_tables,
            seq_lens,
            query_start_loc,
            len(seq_lens),
            split_len,
            scale,
            *q.stride()[:2],
            *k_cache.stride()[:3],
            *v_cache.stride()[:3],
            block_tables.stride(0),
            HEAD_DIM=head_dim,
            V_DIM=v_dim,
            PADDED_DIM=max(16, triton.next_power_of_2(head_dim)),
            PADDED_V_DIM=max(16, triton.next_power_of_2(v_dim)),
            BLOCK_SIZE=block_size,
            GROUP=group,
            BLOCK_M=tiles.block_m,
            BLOCK_Q=tiles.block_q,
            TILE=tiles.keys,
            WINDOW=sliding_window or 0,
            SOFTCAP=softcap or 0.0,
            HAS_SINKS=sinks is not None,
            STORE_LSE=return_lse or num_splits > 1,
            DOT_IN_FP32=q.device.type == "cpu",  # the interpreter's dot of bf16 is wrong
            num_warps=tiles.num_warps,
            num_stages=tiles.num_stages,
        )
    if num_splits > 1:
        out, lse = merge_attention(out, lse, q.dtype)
    else:
        out, lse = out.squeeze(2), lse.squeeze(2)
    return (out, lse) if return_lse else out
