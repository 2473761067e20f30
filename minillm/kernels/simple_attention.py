"""The simplest paged attention in Triton: one query, one head, one block at a time. Slow, short.

`triton_attention.py` computes the same, and is fast.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from minillm.kernels.jit import jit


@jit
def _attend(q_ptr, k_ptr, v_ptr, out_ptr, block_tables_ptr, seq_ptr, position_ptr, scale,
            max_blocks, D: tl.constexpr, PADDED: tl.constexpr, BLOCK_SIZE: tl.constexpr,
            GROUP: tl.constexpr):  # fmt: skip
    token, head = tl.program_id(0), tl.program_id(1)
    num_heads, kv_head = tl.num_programs(1), head // GROUP
    seq, position = tl.load(seq_ptr + token), tl.load(position_ptr + token)
    d, slot = tl.arange(0, PADDED), tl.arange(0, BLOCK_SIZE)
    q = tl.load(q_ptr + (token * num_heads + head) * D + d, d < D, 0.0).to(tl.float32)
    highest, total = -float("inf"), 0.0
    acc = tl.zeros([PADDED], tl.float32)
    for i in range(position // BLOCK_SIZE + 1):
        block = tl.load(block_tables_ptr + seq * max_blocks + i).to(tl.int64)
        visible = i * BLOCK_SIZE + slot <= position  # causal; later slots may hold anything
        row = (block * BLOCK_SIZE + slot) * (num_heads // GROUP) + kv_head
        at, mask = row[:, None] * D + d[None, :], visible[:, None] & (d < D)[None, :]
        k = tl.load(k_ptr + at, mask, 0.0).to(tl.float32)
        v = tl.load(v_ptr + at, mask, 0.0).to(tl.float32)
        scores = tl.where(visible, tl.sum(q[None, :] * k, 1) * scale, -float("inf"))
        new_highest = tl.maximum(highest, tl.max(scores, 0))
        weights, shrink = tl.exp(scores - new_highest), tl.exp(highest - new_highest)
        total = total * shrink + tl.sum(weights, 0)
        acc = acc * shrink + tl.sum(weights[:, None] * v, 0)
        highest = new_highest
    out_at = out_ptr + (token * num_heads + head) * D + d
    tl.store(out_at, (acc / total).to(out_ptr.dtype.element_ty), d < D)


def simple_attention(
    q: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor, block_tables: torch.Tensor,
    seq_lens: torch.Tensor, query_start_loc: torch.Tensor, *, scale: float,
) -> torch.Tensor:  # fmt: skip
    """`paged_attention` without window, softcap, sinks; contiguous NHD caches, equal head sizes."""
    query_lens = query_start_loc.diff()
    seq = torch.repeat_interleave(query_lens)  # of each token
    position = torch.arange(len(q), device=q.device) + (seq_lens - query_start_loc[1:])[seq]
    out, (_, block_size, num_kv_heads, dim) = torch.empty_like(q := q.contiguous()), k_cache.shape
    _attend[q.shape[:2]](
        q, k_cache, v_cache, out, block_tables.contiguous(), seq, position, scale,
        block_tables.shape[1], D=dim, PADDED=triton.next_power_of_2(dim), BLOCK_SIZE=block_size,
        GROUP=q.shape[1] // num_kv_heads,
    )  # fmt: skip
    return out
