"""Kernels as a student might write them: each reads the first row of some blocks."""

from __future__ import annotations

import os
import time

import torch
import triton
import triton.language as tl


@triton.jit
def _first_rows(k_ptr, tables_ptr, out_ptr, block_elements, count, D: tl.constexpr):
    best = -float("inf")
    for i in range(count):
        block = tl.load(tables_ptr + i)
        row = tl.load(k_ptr + block * block_elements + tl.arange(0, D))
        best = tl.maximum(best, tl.max(row.to(tl.float32), 0))
    tl.store(out_ptr, best)


def _launch(k_cache: torch.Tensor, tables: torch.Tensor, count: int) -> None:
    out = torch.empty(1)
    _first_rows[(1,)](k_cache, tables, out, k_cache.stride(0), count, D=k_cache.shape[-1])  # type: ignore[arg-type]


def first_rows(k_cache, block_tables):
    print("the table is", block_tables[0, :2].tolist())
    _launch(k_cache, block_tables, 2)


def too_far(k_cache, block_tables):
    _launch(k_cache, block_tables, 3)


def wrong(k_cache):
    raise ValueError("no such\nluck")


def wrong_in_the_kernel(k_cache, block_tables):
    _launch(k_cache, block_tables, "two")  # type: ignore[arg-type]


def slow(q):
    time.sleep(60)


def dies(q):
    os.abort()


def outer():
    def inner(q):
        return q

    return inner
