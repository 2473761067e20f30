"""Random batches over a paged cache, to measure and compare kernels with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from minillm.kernels.kv_write import write_kv
from minillm.kernels.plan import AttentionPlan


@dataclass(frozen=True, slots=True)
class Heads:
    """Of an attention layer."""

    num_heads: int
    num_kv_heads: int
    head_dim: int

    def __str__(self) -> str:
        return f"{self.num_heads}/{self.num_kv_heads} heads of {self.head_dim}"

    @property
    def group(self) -> int:
        return self.num_heads // self.num_kv_heads

    @property
    def scale(self) -> float:
        return self.head_dim**-0.5


@dataclass(frozen=True, slots=True)
class Batch:
    """B sequences whose blocks lie scattered over the cache, in no order."""

    heads: Heads
    q: torch.Tensor  # [T, Hq, D]
    keys: torch.Tensor  # [S, Hkv, D]: what the cache holds, one sequence after the other
    values: torch.Tensor
    k_cache: torch.Tensor  # [num_blocks, block_size, Hkv, D]
    v_cache: torch.Tensor
    block_tables: torch.Tensor  # [B, max_blocks] int64
    seq_lens: torch.Tensor  # [B] int64
    query_start_loc: torch.Tensor  # [B + 1] int64
    plan: AttentionPlan

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """The arguments of `paged_attention`, in order."""
        tables = (self.block_tables, self.seq_lens, self.query_start_loc)
        return (self.q, self.k_cache, self.v_cache, *tables)


def make_batch(
    lengths: Sequence[tuple[int, int]],
    heads: Heads,
    *,
    block_size: int,
    dtype: torch.dtype,
    device: torch.device,
    seed: int = 0,
) -> Batch:
    """A batch of sequences of (new tokens, all tokens), of standard normal q, k and v."""
    rng = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng, dtype=dtype, device=device)

    query_lens, seq_lens = np.array(lengths, np.int64).T
    needed = -(-seq_lens // block_size)
    order = np.random.default_rng(seed).permutation(int(needed.sum()))
    tables = np.zeros((len(lengths), int(needed.max())), np.int64)
    slots = []
    for row, blocks, length in zip(
        tables, np.split(order, needed.cumsum()[:-1]), seq_lens, strict=True
    ):
        row[: len(blocks)] = blocks
        at = np.arange(length)
        slots.append(blocks[at // block_size] * block_size + at % block_size)
    per_token = (heads.num_kv_heads, heads.head_dim)
    keys, values = (normal(int(seq_lens.sum()), *per_token) for _ in range(2))
    k_cache = torch.zeros(len(order), block_size, *per_token, dtype=dtype, device=device)
    v_cache = torch.zeros_like(k_cache)
    at = torch.from_numpy(np.concatenate(slots)).to(device)
    write_kv(keys, values, k_cache, v_cache, at, padded=False)
    starts = np.concatenate(([0], query_lens.cumsum()))
    q = normal(int(starts[-1]), heads.num_heads, heads.head_dim)
    plan = AttentionPlan(tables, seq_lens, starts, block_size, device)
    table, lens, locs = (torch.tensor(each, device=device) for each in (tables, seq_lens, starts))
    return Batch(heads, q, keys, values, k_cache, v_cache, table, lens, locs, plan)
