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

from minillm.kernels.csr_pages import CsrPages
from minillm.kernels.jit import jit
from minillm.kernels.layouts import by_token
from minillm.kernels.plan import AttentionPlan, plan_attention
from minillm.kernels.splits import choose_num_splits
from minillm.kernels.tiles import AttentionShape, Tiles, choose_tiles
from minillm.kernels.triton_merge import merge_attention
from minillm.kernels.triton_tile import LOG2E, attend, load_queries


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
def _share_of(split, num_splits, begin, end, TILE: tl.constexpr):
    """The part [begin, end) of these keys that falls to one split: as many tiles as the others."""
    first, last = begin // TILE, tl.cdiv(end, TILE)
    share = tl.cdiv(last - first, num_splits)
    first += split * share
    return tl.maximum(begin, first * TILE), tl.minimum(end, (first + share) * TILE)


@jit
def _paged_attention(
    q_ptr,  # [T, Hq, D]
    k_ptr,  # [num_blocks, block_size, Hkv, D / X, X], by its strides
    v_ptr,  # [num_blocks, block_size, Hkv, Dv], by its strides
    out_ptr,  # [T, Hq, splits, Dv]
    lse_ptr,  # [T, Hq, splits] fp32
    sinks_ptr,  # [Hq]
    k_scale_ptr,  # [Hkv] fp32, or None: 1
    v_scale_ptr,
    block_tables_ptr,  # [B, max_blocks], or all blocks in a row
    kv_indptr_ptr,  # [B + 1]: where each sequence's blocks begin in that row, or None
    seq_lens_ptr,  # [B]
    query_start_loc_ptr,  # [B + 1]
    num_seqs,
    scale,
    q_strides,
    k_strides,
    v_strides,
    table_stride,
    HEAD_DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    PADDED_DIM: tl.constexpr,
    PADDED_V_DIM: tl.constexpr,
    X: tl.constexpr,  # elements of a key side by side
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
    tile, kv_head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    seq = _sequence_of(tile, query_start_loc_ptr, num_seqs, BLOCK_Q)
    query_start = tl.load(query_start_loc_ptr + seq).to(tl.int32)
    query_len = tl.load(query_start_loc_ptr + seq + 1).to(tl.int32) - query_start
    first_query = (tile - (query_start // BLOCK_Q + seq)) * BLOCK_Q
    if first_query >= query_len:
        return
    seq_len = tl.load(seq_lens_ptr + seq).to(tl.int32)
    q, query, token, head, row_mask = load_queries(
        q_ptr, query_start, query_len, first_query, kv_head, q_strides,
        HEAD_DIM, PADDED_DIM, GROUP, BLOCK_M, BLOCK_Q, DOT_IN_FP32,
    )  # fmt: skip

    # Keys outside [begin, end) are masked for every row.
    first_position = seq_len - query_len + first_query
    end = tl.minimum(first_position + BLOCK_Q, seq_len)
    last_position = end - 1
    begin = 0
    if WINDOW > 0:
        begin = tl.maximum(first_position - WINDOW + 1, 0)
    begin, end = _share_of(split, tl.num_programs(2), begin, end, TILE)
    out_row = (token * (GROUP * tl.num_programs(1)) + head) * tl.num_programs(2) + split
    if (begin >= end) & (split > 0):  # nothing to see: the merge does not look at the output
        tl.store(lse_ptr + out_row, tl.full([BLOCK_M], -float("inf"), tl.float32), row_mask)
        return

    # The online softmax works in powers of two: 2^(x log2 e) is what the hardware computes.
    highest = tl.full([BLOCK_M], -float("inf"), tl.float32)
    if HAS_SINKS:
        sink = tl.load(sinks_ptr + head, row_mask, 0.0).to(tl.float32) * LOG2E
        highest = tl.where(split == 0, sink, highest)  # a sink is seen once
    total = tl.where(highest == -float("inf"), 0.0, 1.0)
    acc = tl.zeros([BLOCK_M, PADDED_V_DIM], tl.float32)
    if k_scale_ptr is not None:
        scale *= tl.load(k_scale_ptr + kv_head)
    if kv_indptr_ptr is not None:
        table_ptr = block_tables_ptr + tl.load(kv_indptr_ptr + seq)
    else:
        table_ptr = block_tables_ptr + seq.to(tl.int64) * table_stride
    highest, total, acc = attend(
        q, highest, total, acc, begin, end, seq_len - query_len + query, first_position,
        last_position, k_ptr + kv_head * k_strides[2], v_ptr + kv_head * v_strides[2],
        table_ptr, k_strides, v_strides, scale,
        HEAD_DIM, V_DIM, X, BLOCK_SIZE, TILE, WINDOW, SOFTCAP,
    )  # fmt: skip
    v_dims = tl.arange(0, PADDED_V_DIM)
    total = tl.where(total > 0, total, 1.0)  # of a row that saw no key: 0 / 1, and log 1 − ∞
    out = acc / total[:, None]
    if v_scale_ptr is not None:
        out *= tl.load(v_scale_ptr + kv_head)
    out_mask = row_mask[:, None] & (v_dims < V_DIM)[None, :]
    out_at = out_ptr + out_row[:, None] * V_DIM + v_dims[None, :]
    tl.store(out_at, out.to(out_ptr.dtype.element_ty), out_mask)
    if STORE_LSE:
        tl.store(lse_ptr + out_row, (highest + tl.log2(total)) / LOG2E, row_mask)


def paged_attention(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    block_tables: torch.Tensor | CsrPages,
    seq_lens: torch.Tensor | None,
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
    k_cache, v_cache = by_token(k_cache, v_cache, layout)
    kv_indptr = None
    if isinstance(block_tables, CsrPages):
        seq_lens = block_tables.seq_lens(k_cache.shape[1])
        block_tables, kv_indptr = block_tables.kv_indices, block_tables.kv_indptr
    assert seq_lens is not None
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
    if num_splits is None:
        visible = plan.keys_per_tile(tiles.block_q, sliding_window)
        num_splits = choose_num_splits(visible, num_kv_heads, tiles.num_sms)

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
            k_scale,
            v_scale,
            block_tables,
            kv_indptr,
            seq_lens,
            query_start_loc,
            len(seq_lens),
            scale,
            q.stride()[:2],
            k_cache.stride()[:4],
            v_cache.stride(),
            block_tables.stride(0),
            HEAD_DIM=head_dim,
            V_DIM=v_dim,
            PADDED_DIM=max(16, triton.next_power_of_2(head_dim)),
            PADDED_V_DIM=max(16, triton.next_power_of_2(v_dim)),
            X=k_cache.shape[4],
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
