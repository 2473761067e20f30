"""The tensors of a case, with K and V scattered over a paged cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from minillm.kernels.csr_pages import CsrPages
from minillm.kernels.fp8 import FP8, scale_for
from minillm.kernels.kv_write import write_kv
from minillm.kernels.layouts import convert
from minillm.xray.case import Case

SCALES = ("k_scale", "v_scale")  # of a cache in fp8
NO_BLOCK = 10**6  # where a block table ends: whoever follows it leaves the cache

CACHE_AXES = {  # of K, of V
    "NHD": (("block", "slot", "head", "dim"),) * 2,
    "HND": (("block", "head", "slot", "dim"),) * 2,
    "packed": (("block", "head", "piece", "slot", "dim"), ("block", "head", "dim", "slot")),
}


@dataclass(frozen=True, slots=True)
class Input:
    tensor: torch.Tensor
    axes: tuple[str, ...]


def inputs(case: Case) -> dict[str, Input]:
    """By the names that kernels' functions give them. Slots that are not in use hold NaN.

    `key` and `value` are those of the new tokens, `slot_mapping` says where they lie in the cache,
    which has them already. `kv_indptr`, `kv_indices` and `last_page_len` are `block_tables` and
    `seq_lens` once more, without padding.
    """
    rng = torch.Generator().manual_seed(case.seed)
    dtype, heads, dim = getattr(torch, case.dtype), case.num_kv_heads, case.head_dim

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=rng).to(dtype)

    pool = (case.num_blocks, case.block_size, heads, dim)
    caches = [torch.full(pool, torch.nan).to(kv_dtype(case)) for _ in range(2)]
    drawn = [(draw(length, heads, dim), draw(length, heads, dim)) for length in case.seq_lens]
    scales = []
    if case.kv_cache_dtype == "fp8":
        scales = [scale_for(torch.cat(each)) for each in zip(*drawn, strict=True)]
    k_scale, v_scale = scales or (None, None)
    tables = torch.full((len(case.seq_lens), max(map(len, case.block_tables)) + 1), NO_BLOCK)
    keys, values, mapping = [], [], []
    for b, (length, new) in enumerate(zip(case.seq_lens, case.query_lens, strict=True)):
        row = torch.tensor(case.block_tables[b], dtype=torch.int64)
        tables[b, : len(row)] = row
        at = torch.arange(length)
        slots = row[at // case.block_size] * case.block_size + at % case.block_size
        key, value = drawn[b]
        write_kv(key, value, caches[0], caches[1], slots, k_scale=k_scale, v_scale=v_scale)
        keys.append(key[length - new :])
        values.append(value[length - new :])
        mapping.append(slots[length - new :])
    k_cache, v_cache = convert(caches[0], caches[1], "NHD", case.layout)
    lengths = torch.tensor(case.seq_lens)
    pages = CsrPages.from_padded(tables, lengths, case.block_size)
    new_tokens, (k_axes, v_axes) = sum(case.query_lens), CACHE_AXES[case.layout]
    return {
        "q": Input(draw(new_tokens, case.num_heads, dim), ("token", "head", "dim")),
        "key": Input(torch.cat(keys), ("token", "head", "dim")),
        "value": Input(torch.cat(values), ("token", "head", "dim")),
        "k_cache": Input(k_cache, k_axes),
        "v_cache": Input(v_cache, v_axes),
        "block_tables": Input(tables, ("sequence", "index")),
        "seq_lens": Input(lengths, ("sequence",)),
        "kv_indptr": Input(pages.kv_indptr, ("sequence",)),
        "kv_indices": Input(pages.kv_indices, ("index",)),
        "last_page_len": Input(pages.last_page_len, ("sequence",)),
        "query_start_loc": Input(torch.tensor(case.query_start_loc), ("sequence",)),
        "slot_mapping": Input(torch.cat(mapping), ("token",)),
        **{name: Input(x, ("head",)) for name, x in zip(SCALES, scales, strict=False)},
    }


def kv_dtype(case: Case) -> torch.dtype:
    """Of the caches."""
    return FP8 if case.kv_cache_dtype == "fp8" else getattr(torch, case.dtype)
