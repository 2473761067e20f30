"""minillm's attention kernel with page tables without padding, under the names that X-rays give."""

from __future__ import annotations

from typing import Any

import torch

from minillm.kernels.csr_pages import CsrPages
from minillm.kernels.triton_attention import paged_attention


def csr_attention(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    kv_indptr: torch.Tensor,
    kv_indices: torch.Tensor,
    last_page_len: torch.Tensor,
    query_start_loc: torch.Tensor,
    *,
    scale: float,
    **options: Any,
) -> torch.Tensor:
    """`paged_attention` with `CsrPages` in place of block tables and lengths."""
    pages = CsrPages(kv_indptr, kv_indices, last_page_len)
    return paged_attention(
        q, k_cache, v_cache, pages, None, query_start_loc, scale=scale, **options
    )
