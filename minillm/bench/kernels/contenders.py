"""Who computes a batch: minillm's kernels, torch's dense attention, FlexAttention, FlashInfer.

A contender prepares what may be prepared outside the measured time, and gives a `Run`. What cannot
run a batch raises `Unavailable` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from minillm.bench.kernels.external import flash_infer, flex_attention
from minillm.bench.kernels.run import Run, Unavailable
from minillm.config import ConfigError
from minillm.kernels import paged_attention, write_kv
from minillm.kernels.csr_pages import CsrPages
from minillm.kernels.fp8 import FP8, check_fp8, scale_for, to_fp8
from minillm.kernels.layouts import LAYOUTS, as_nhd, convert
from minillm.kernels.plan import AttentionPlan
from minillm.kernels.synthetic import Batch

Prepare = Callable[[Batch], Run]


def minillm(backend: str, layout: str = "NHD") -> Prepare:
    """`paged_attention`, with the plan that the engine makes once per step."""

    def prepare(batch: Batch) -> Run:
        _must_run(backend, batch)
        q, k, v, *tables = batch.tensors
        caches = (k, v) if layout == "NHD" else convert(k, v, "NHD", layout)
        tensors, scale = (q, *caches, *tables), batch.heads.scale
        return Run(
            lambda: paged_attention(
                *tensors, scale=scale, plan=batch.plan, layout=layout, backend=backend
            )
        )

    return prepare


def fp8(backend: str) -> Prepare:
    """Keys and values of one byte each, scaled per KV head. Its error is that of the rounding."""

    def prepare(batch: Batch) -> Run:
        _must_run(backend, batch)
        try:
            check_fp8(backend, batch.q.device)
        except ConfigError as problem:
            raise Unavailable(str(problem)) from None
        q, *caches, tables, lens, starts = batch.tensors
        scales = [scale_for(each) for each in (batch.keys, batch.values)]
        k, v = (
            to_fp8(cache.flatten(0, 1), scale).view(cache.shape)
            for cache, scale in zip(caches, scales, strict=True)
        )

        def run() -> torch.Tensor:
            return paged_attention(
                q, k, v, tables, lens, starts, scale=batch.heads.scale, plan=batch.plan,
                k_scale=scales[0], v_scale=scales[1], backend=backend,
            )  # fmt: skip

        return Run(run, kv_dtype=FP8)

    return prepare


def csr(batch: Batch) -> Run:
    """Page tables without padding, in place of block tables."""
    _must_run("triton", batch)
    q, k, v, tables, lens, starts = batch.tensors
    pages = CsrPages.from_padded(tables, lens, batch.plan.block_size)
    scale = batch.heads.scale
    return Run(lambda: paged_attention(q, k, v, pages, None, starts, scale=scale, plan=batch.plan))


def decodes_apart(batch: Batch) -> Run:
    """Two launches: the decodes that come first, with their small tiles, and then the rest."""
    _must_run("triton", batch)
    plan = batch.plan
    count = int((plan.starts[1:] - plan.starts[:-1] == 1).argmin())  # of decodes, if any other
    q, k, v, tables, lens, starts = batch.tensors
    block_size, device = plan.block_size, plan.device
    first = AttentionPlan(plan.block_tables[:count], plan.seq_lens[:count],
                          plan.starts[: count + 1], block_size, device)  # fmt: skip
    rest = AttentionPlan(plan.block_tables[count:], plan.seq_lens[count:],
                         plan.starts[count:] - count, block_size, device)  # fmt: skip
    rest_starts = starts[count:] - count

    def run() -> torch.Tensor:
        scale = batch.heads.scale
        decodes = paged_attention(q[:count], k, v, tables[:count], lens[:count],
                                  starts[: count + 1], scale=scale, plan=first)  # fmt: skip
        others = paged_attention(q[count:], k, v, tables[count:], lens[count:],
                                 rest_starts, scale=scale, plan=rest)  # fmt: skip
        return torch.cat((decodes, others))

    return Run(run)


def simple(batch: Batch) -> Run:
    """The lesson's kernel."""
    _must_run("triton", batch)
    from minillm.kernels.simple_attention import simple_attention

    return Run(lambda: simple_attention(*batch.tensors, scale=batch.heads.scale))


def sdpa(gathers: bool, backend: SDPBackend | None = None) -> Prepare:
    """torch's attention over dense keys: as they lie, or gathered from the cache each time."""

    def prepare(batch: Batch) -> Run:
        q, k, v = _dense(batch)
        decodes = q.shape[2] == 1
        if decodes:  # the query heads of a group as queries of one head: its keys are read once
            q = q.view(len(q), batch.heads.num_kv_heads, batch.heads.group, -1)

        def attend(keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            return F.scaled_dot_product_attention(
                q, keys, values, is_causal=not decodes, scale=batch.heads.scale,
                enable_gqa=not decodes and batch.heads.group > 1,
            )  # fmt: skip

        def gather_and_attend() -> torch.Tensor:
            return attend(_gathered(batch, batch.k_cache), _gathered(batch, batch.v_cache))

        def run() -> torch.Tensor:
            if backend is None:
                return gather_and_attend() if gathers else attend(k, v)
            with sdpa_kernel([backend]):
                return attend(k, v)

        def rows(out: torch.Tensor) -> torch.Tensor:
            if decodes:
                return out.reshape(batch.q.shape)
            return out.transpose(1, 2).reshape(batch.q.shape)

        return Run(run, rows)

    return prepare


def _dense(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """q: [B, Hq, Q, D], k and v: [B, Hkv, L, D], contiguous."""
    query_lens = set((batch.plan.starts[1:] - batch.plan.starts[:-1]).tolist())
    lengths = set(batch.plan.seq_lens.tolist())
    if len(lengths) > 1 or len(query_lens) > 1:
        raise Unavailable("its sequences differ in length, and would have to be padded")
    count = len(batch.plan.seq_lens)
    return tuple(
        each.view(count, -1, *each.shape[1:]).transpose(1, 2).contiguous()
        for each in (batch.q, batch.keys, batch.values)
    )  # type: ignore[return-value]


def _gathered(batch: Batch, cache: torch.Tensor) -> torch.Tensor:
    """[B, Hkv, L, D], a view of a copy. Lengths are multiples of the block size."""
    blocks = F.embedding(batch.block_tables, cache.view(len(cache), -1))
    return blocks.view(len(blocks), -1, *cache.shape[2:]).transpose(1, 2)


def write(backend: str, layout: str = "NHD") -> Prepare:
    """Writes every key and value into an empty cache, in no order of blocks. Gives its keys."""

    def prepare(batch: Batch) -> Run:
        _must_run(backend, batch)
        at = torch.arange(len(batch.keys), device=batch.keys.device)
        size = batch.plan.block_size
        slots = batch.block_tables[0][at // size] * size + at % size
        k_cache, v_cache = convert(
            torch.zeros_like(batch.k_cache), torch.zeros_like(batch.v_cache), "NHD", layout
        )

        def run() -> torch.Tensor:
            tensors = (batch.keys, batch.values, k_cache, v_cache, slots)
            write_kv(*tensors, padded=False, layout=layout, backend=backend)
            return k_cache

        def rows(_: torch.Tensor) -> torch.Tensor:
            both = (c.reshape(-1, *c.shape[2:])[slots] for c in as_nhd(k_cache, v_cache, layout))
            return torch.cat(tuple(both))

        return Run(run, rows)

    return prepare


def _must_run(backend: str, batch: Batch) -> None:
    if backend == "triton" and find_spec("triton") is None:
        raise Unavailable("triton is not installed")


CONTENDERS: dict[str, Prepare] = {
    "minillm": minillm("triton"),
    "minillm, decodes apart": decodes_apart,
    "minillm CSR": csr,
    "minillm FP8": fp8("triton"),
    "minillm torch": minillm("torch"),
    "minillm torch FP8": fp8("torch"),
    "simple_attention": simple,
    "torch SDPA": sdpa(gathers=False),
    "gather + SDPA": sdpa(gathers=True),
    "SDPA FlashAttention": sdpa(False, SDPBackend.FLASH_ATTENTION),
    "SDPA cuDNN": sdpa(False, SDPBackend.CUDNN_ATTENTION),
    "FlexAttention": flex_attention,
    "FlashInfer": flash_infer,
    "write_kv torch": write("torch"),
    **{f"minillm {layout}": minillm("triton", layout) for layout in LAYOUTS},
    **{f"minillm torch {layout}": minillm("torch", layout) for layout in LAYOUTS},
    **{f"write_kv {layout}": write("triton", layout) for layout in LAYOUTS},
}
