"""Batches scattered over a paged cache, to compare kernels with dense attention.

Every slot that is not in use holds NaN, and tables are padded with an impossible block: what must
not be read shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from hypothesis import strategies as st
from kernels.dense_attention import dense_attention

from minillm.kernels import paged_attention
from minillm.kernels.fp8 import FP8, to_fp8
from minillm.kernels.kv_write import write_kv
from minillm.kernels.layouts import cache_shapes

NAN = float("nan")
LAUNCH = ("backend", "num_splits", "tiles")


class Case:
    """B sequences scattered over a NaN-filled cache, tables padded with an impossible block."""

    def __init__(
        self,
        lengths: list[tuple[int, int]],  # (new tokens, all tokens) of each sequence
        *,
        block_size: int,
        kv_heads: int = 2,
        group: int = 2,
        head_dim: int = 8,
        v_dim: int | None = None,
        dtype: torch.dtype = torch.float32,
        layout: str = "NHD",
        fp8: bool = False,  # the cache; keys and values are what it gives back
        seed: int = 0,
    ) -> None:
        rng = torch.Generator().manual_seed(seed)
        v_dim = v_dim or head_dim
        self.query_lens = [n for n, _ in lengths]
        self.q = torch.randn(
            sum(self.query_lens), kv_heads * group, head_dim, generator=rng, dtype=dtype
        )
        needed = [-(-total // block_size) for _, total in lengths]
        num_blocks = sum(needed) + 3
        self.layout = layout
        stored = FP8 if fp8 else dtype
        scales: dict[str, Any] = {}
        if fp8:
            scales["k_scale"] = torch.linspace(0.01, 0.02, kv_heads)
            scales["v_scale"] = torch.linspace(0.03, 0.01, kv_heads)
        self.scales = scales
        sizes = {"head_dim": head_dim, "v_dim": v_dim, "itemsize": stored.itemsize}
        k_shape, v_shape = cache_shapes(layout, num_blocks, block_size, kv_heads, **sizes)
        self.k_cache = torch.full(k_shape, NAN).to(stored)
        self.v_cache = torch.full(v_shape, NAN).to(stored)
        free = torch.randperm(num_blocks, generator=rng).tolist()
        self.block_tables = torch.full((len(lengths), max(needed) + 1), 10**6)
        self.keys, self.values = [], []
        for b, (_, total) in enumerate(lengths):
            blocks = torch.tensor([free.pop() for _ in range(needed[b])])
            self.block_tables[b, : len(blocks)] = blocks
            k = torch.randn(total, kv_heads, head_dim, generator=rng, dtype=dtype)
            v = torch.randn(total, kv_heads, v_dim, generator=rng, dtype=dtype)
            at = torch.arange(total)
            slots = blocks[at // block_size] * block_size + at % block_size
            write_kv(k, v, self.k_cache, self.v_cache, slots, layout=layout, **scales)
            if fp8:
                k, v = self._given_back(k, "k_scale"), self._given_back(v, "v_scale")
            self.keys.append(k)
            self.values.append(v)
        self.seq_lens = torch.tensor([total for _, total in lengths])
        self.query_start_loc = torch.tensor([0, *self.query_lens]).cumsum(0)

    def _given_back(self, x: torch.Tensor, scale: str) -> torch.Tensor:
        return to_fp8(x, self.scales[scale]).float() * self.scales[scale][:, None]

    def tensors(self, device: str = "cpu") -> tuple[torch.Tensor, ...]:
        """The arguments of `paged_attention`, in order."""
        tensors = (self.q, self.k_cache, self.v_cache)
        tables = (self.block_tables, self.seq_lens, self.query_start_loc)
        return tuple(t.to(device) for t in (*tensors, *tables))

    def paged(self, device: str = "cpu", **options: Any) -> torch.Tensor:
        scales = {name: scale.to(device) for name, scale in self.scales.items()}
        options = {"layout": self.layout, **scales} | options
        return paged_attention(*self.tensors(device), scale=0.3, **options).cpu()

    def dense(self, **options: Any) -> torch.Tensor:
        return dense_attention(
            self.q, self.keys, self.values, self.query_lens, scale=0.3, **options
        )

    def check(self, tolerance: float = 2e-5, device: str = "cpu", **options: Any) -> None:
        """`backend`, `num_splits` and `tiles` are for the kernel alone."""
        got = self.paged(device, **options)
        assert got.dtype == self.q.dtype
        defined = {k: v for k, v in options.items() if k not in LAUNCH}
        torch.testing.assert_close(got.double(), self.dense(**defined), rtol=0, atol=tolerance)


@contextmanager
def poisoned_outputs() -> Iterator[None]:
    """Memory that kernels ask for holds NaN: what they leave unwritten shows."""
    new_empty = torch.Tensor.new_empty

    def poisoned(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        empty = new_empty(self, *args, **kwargs)
        return empty.fill_(NAN) if empty.dtype.is_floating_point else empty

    with patch.object(torch.Tensor, "new_empty", poisoned):
        yield


@st.composite
def lengths(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Decodes, whole prompts and chunks with context, in any order."""
    pairs = []
    for _ in range(draw(st.integers(1, 5))):
        total = draw(st.integers(1, 80))
        new = draw(st.one_of(st.just(1), st.integers(1, min(total, 24))))
        pairs.append((new, total))
    return pairs
