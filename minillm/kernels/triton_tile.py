"""What a program of the attention kernels does with its queries and a range of keys.

Keys are read in tiles that begin at multiples of TILE, with an online softmax (FlashAttention-2,
Dao 2023). Most tiles are seen whole by every query and need no mask. Those at the edges do: where
the range begins or the window slides, on the causal diagonal, where the sequence ends. So there
are two loops over one tile function.
"""

from __future__ import annotations

import triton.language as tl

from minillm.kernels.jit import jit

LOG2E = tl.constexpr(1.4426950408889634)


@jit
def load_queries(
    q_ptr, query_start, query_len, first_query, kv_head, q_strides,
    HEAD_DIM: tl.constexpr, PADDED_DIM: tl.constexpr, GROUP: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_Q: tl.constexpr, DOT_IN_FP32: tl.constexpr,
):  # fmt: skip
    """Row r of the tile is query `first_query + r // GROUP` of its sequence, head r % GROUP of
    the KV head's group. Returns q [BLOCK_M, PADDED_DIM], query, token and head [BLOCK_M], and
    which rows there are."""
    rows = tl.arange(0, BLOCK_M)
    query = first_query + rows // GROUP
    row_mask = (rows // GROUP < BLOCK_Q) & (query < query_len)
    head = kv_head * GROUP + rows % GROUP
    token = (query_start + query).to(tl.int64)
    dims = tl.arange(0, PADDED_DIM)
    at = (token * q_strides[0] + head * q_strides[1])[:, None] + dims[None, :]
    q = tl.load(q_ptr + at, row_mask[:, None] & (dims < HEAD_DIM)[None, :], 0.0)
    if DOT_IN_FP32:
        q = q.to(tl.float32)
    return q, query, token, head, row_mask


@jit
def attend(
    q, highest, total, acc,  # queries, and the softmax over the keys seen so far
    begin, end,  # keys to see
    position,  # [BLOCK_M], of each query
    first_position, last_position,  # of the tile's queries
    k_ptr, v_ptr, blocks_ptr,  # of this KV head, of this sequence
    k_strides, v_strides, scale,
    HEAD_DIM: tl.constexpr, V_DIM: tl.constexpr, X: tl.constexpr, BLOCK_SIZE: tl.constexpr,
    TILE: tl.constexpr, WINDOW: tl.constexpr, SOFTCAP: tl.constexpr,
):  # fmt: skip
    """The softmax with the keys [begin, end): highest score (in powers of two) and total [BLOCK_M],
    weighted sum of values [BLOCK_M, PADDED_V_DIM]."""
    first = begin // TILE * TILE
    whole_from = begin
    if WINDOW > 0:
        whole_from = tl.maximum(begin, last_position - WINDOW + 1)
    full_begin = tl.minimum(tl.cdiv(whole_from, TILE), tl.cdiv(end, TILE)) * TILE
    full_end = tl.maximum(tl.minimum(first_position + 1, end) // TILE * TILE, full_begin)
    for start in range(full_begin, full_end, TILE):
        highest, total, acc = _tile(
            q, highest, total, acc, start, begin, end, position, k_ptr, v_ptr, blocks_ptr,
            k_strides, v_strides, scale,
            HEAD_DIM, V_DIM, X, BLOCK_SIZE, TILE, WINDOW, SOFTCAP, MASKED=False,
        )  # fmt: skip
    num_before = (full_begin - first) // TILE
    num_masked = num_before + tl.cdiv(end - full_end, TILE)
    for i in range(num_masked):
        start = first + i * TILE + tl.where(i < num_before, 0, full_end - full_begin)
        highest, total, acc = _tile(
            q, highest, total, acc, start, begin, end, position, k_ptr, v_ptr, blocks_ptr,
            k_strides, v_strides, scale,
            HEAD_DIM, V_DIM, X, BLOCK_SIZE, TILE, WINDOW, SOFTCAP, MASKED=True,
        )  # fmt: skip
    return highest, total, acc


@jit
def _tile(
    q, highest, total, acc, start, begin, end, position, k_ptr, v_ptr, blocks_ptr,
    k_strides, v_strides, scale,
    HEAD_DIM: tl.constexpr, V_DIM: tl.constexpr, X: tl.constexpr, BLOCK_SIZE: tl.constexpr,
    TILE: tl.constexpr, WINDOW: tl.constexpr, SOFTCAP: tl.constexpr,
    MASKED: tl.constexpr,
):  # fmt: skip
    """`attend` for the keys [start, start + TILE); unless MASKED every query sees all of them."""
    at = start + tl.arange(0, TILE)
    inside = (at >= begin) & (at < end)  # other slots may hold anything
    if MASKED:
        block = tl.load(blocks_ptr + at // BLOCK_SIZE, inside, 0).to(tl.int64)
    else:
        block = tl.load(blocks_ptr + at // BLOCK_SIZE).to(tl.int64)
    slot = at % BLOCK_SIZE
    dims = tl.arange(0, q.shape[1])
    k_at = (block * k_strides[0] + slot * k_strides[1])[:, None]
    k_dims = dims
    if X < HEAD_DIM:
        k_dims = dims // X * k_strides[3] + dims % X
    k = _load(k_ptr + k_at + k_dims[None, :], inside, dims, HEAD_DIM, MASKED).to(q.dtype)
    v_dims = tl.arange(0, acc.shape[1])
    v_at = (block * v_strides[0] + slot * v_strides[1])[:, None] + (v_dims * v_strides[3])[None, :]
    v = _load(v_ptr + v_at, inside, v_dims, V_DIM, MASKED).to(q.dtype)

    scores = tl.dot(q, tl.trans(k), input_precision="ieee")
    if SOFTCAP > 0:
        # tanh(x) = 1 − 2 / (e^2x + 1): no overflow either way
        doubled = scores * (scale * (2 / SOFTCAP * LOG2E))
        scores = (SOFTCAP * LOG2E) * (1 - 2 / (tl.exp2(doubled) + 1))
    else:
        scores *= scale * LOG2E
    if MASKED:
        visible = inside[None, :] & (at[None, :] <= position[:, None])
        if WINDOW > 0:
            visible &= at[None, :] > position[:, None] - WINDOW
        scores = tl.where(visible, scores, -float("inf"))

    new_highest = tl.maximum(highest, tl.max(scores, 1))
    base = new_highest
    if MASKED:
        base = tl.where(new_highest == -float("inf"), 0.0, new_highest)  # −∞ − −∞ is no number
    weights = tl.exp2(scores - base[:, None])
    shrink = tl.exp2(highest - base)
    total = total * shrink + tl.sum(weights, 1)
    acc = tl.dot(weights.to(v.dtype), v, acc * shrink[:, None], input_precision="ieee")
    return new_highest, total, acc


@jit
def _load(ptr, inside, dims, DIM: tl.constexpr, MASKED: tl.constexpr):
    """[TILE, dims]: rows that are inside, or all unless MASKED, and columns below DIM; 0 else."""
    if MASKED:
        return tl.load(ptr, inside[:, None] & (dims < DIM)[None, :], 0.0)
    if dims.shape[0] > DIM:
        return tl.load(ptr, (dims < DIM)[None, :], 0.0)
    return tl.load(ptr)
