"""⊕: attention over two sets of keys from the attention over each.

A partial result is an output and its log-sum-exp. Outputs are averaged with weights exp(lse), and
the sums add up, so parts may be merged in any grouping and any order (FlashInfer, Ye et al. 2025,
section 2.2). The part that saw no key, (anything, −∞), is the identity.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from minillm.kernels.jit import jit

COLUMNS = 64  # of the output, per program


@jit
def _merge(
    parts_ptr,  # [rows, num_parts, dim] fp32
    part_lse_ptr,  # [rows, num_parts] fp32
    out_ptr,  # [rows, dim]
    lse_ptr,  # [rows] fp32
    num_parts,
    DIM: tl.constexpr,
    PARTS: tl.constexpr,  # num_parts, rounded up to a power of two
    COLUMNS: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    part = tl.arange(0, PARTS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    lse = tl.load(part_lse_ptr + row * num_parts + part, part < num_parts, -float("inf"))
    largest = tl.max(lse, 0)
    base = tl.where(largest == -float("inf"), 0.0, largest)  # no part saw a key: −∞ − −∞
    weights = tl.exp(lse - base)
    total = tl.sum(weights, 0)
    total = tl.where(total > 0, total, 1.0)
    elements = (row * num_parts + part)[:, None] * DIM + column[None, :]
    mask = (lse > -float("inf"))[:, None] & (column < DIM)[None, :]
    parts = tl.load(parts_ptr + elements, mask, 0.0)
    out = tl.sum(parts * weights[:, None], 0) / total
    tl.store(out_ptr + row * DIM + column, out.to(out_ptr.dtype.element_ty), column < DIM)
    tl.store(lse_ptr + row, largest + tl.log(total), tl.program_id(1) == 0)


def merge_attention(
    parts: torch.Tensor, part_lse: torch.Tensor, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """Merge S partial attentions of each query row.

    parts: [..., S, D] fp32, part_lse: [..., S] fp32, natural logarithms, −∞ where a part saw no
    key, whose output is not read. Returns the output [..., D] in `dtype` (0 where no part saw any)
    and its lse [...] fp32.
    """
    *rows, num_parts, dim = parts.shape
    out = parts.new_empty(*rows, dim, dtype=dtype)
    lse = parts.new_empty(rows)
    if lse.numel():
        _merge[(lse.numel(), triton.cdiv(dim, COLUMNS))](
            parts.contiguous(),
            part_lse.contiguous(),
            out,
            lse,
            num_parts,
            DIM=dim,
            PARTS=triton.next_power_of_2(num_parts),
            COLUMNS=COLUMNS,
        )
    return out, lse
