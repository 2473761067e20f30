"""Other projects' attention over paged keys, where it can be had."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import torch

from minillm.bench.kernels.run import Run, Unavailable
from minillm.kernels.synthetic import Batch

FLEX_BLOCK = 128  # FlexAttention's own, of queries and of keys
WORKSPACE = 256 * 2**20  # bytes, FlashInfer's advice doubled


def flex_attention(batch: Batch) -> Run:
    """torch's FlexAttention, compiled, reading the cache through a block mask.

    A sequence attends to its blocks where they lie: the whole ones unmasked, and in prefills the
    one on the diagonal by what the mask function says of positions in the cache.
    """
    from torch.nn.attention.flex_attention import BlockMask
    from torch.nn.attention.flex_attention import flex_attention as flex

    num_blocks, block_size, kv_heads, dim = batch.k_cache.shape
    if block_size != FLEX_BLOCK:
        raise Unavailable(f"its blocks hold {FLEX_BLOCK} tokens, not {block_size}")
    count, blocks = batch.block_tables.shape
    queries = len(batch.q) // count
    if queries not in (1, blocks * FLEX_BLOCK):
        raise Unavailable("decodes or whole prefills of one length")
    device, decodes = batch.q.device, queries == 1
    tables = batch.block_tables.int()
    tiles = 1 if decodes else blocks
    whole = torch.zeros(count, 1, tiles, num_blocks, dtype=torch.int32, device=device)
    whole[..., :blocks] = tables[:, None, None]
    num_whole = torch.full((count, 1, tiles), blocks, dtype=torch.int32, device=device)
    partial, num_partial = torch.zeros_like(whole), torch.zeros_like(num_whole)
    if not decodes:  # the diagonal block is partial, those before it are whole
        num_whole[:] = torch.arange(tiles, dtype=torch.int32, device=device)
        partial[:, 0, :, 0] = tables
        num_partial[:] = 1
    place = torch.zeros(count, num_blocks, dtype=torch.int64, device=device)
    place.scatter_(1, batch.block_tables, torch.arange(blocks, device=device).expand(count, -1))

    def causal(b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, kv: torch.Tensor) -> torch.Tensor:
        return q >= place[b, kv // FLEX_BLOCK] * FLEX_BLOCK + kv % FLEX_BLOCK

    mask = BlockMask.from_kv_blocks(
        num_partial,
        partial,
        num_whole,
        whole,
        BLOCK_SIZE=FLEX_BLOCK,
        mask_mod=None if decodes else causal,
        seq_lengths=(queries, num_blocks * FLEX_BLOCK),
    )
    q = batch.q.view(count, queries, -1, dim).transpose(1, 2)
    k, v = (
        cache.view(1, -1, kv_heads, dim).transpose(1, 2) for cache in (batch.k_cache, batch.v_cache)
    )
    compiled = torch.compile(flex, dynamic=False)
    gqa = batch.heads.group > 1

    def run() -> torch.Tensor:
        return compiled(q, k, v, block_mask=mask, scale=batch.heads.scale, enable_gqa=gqa)

    return Run(run, lambda out: out.transpose(1, 2).reshape(batch.q.shape))


def flash_infer(batch: Batch) -> Run:
    """FlashInfer's paged attention, its plan made beforehand as minillm's is."""
    if find_spec("flashinfer") is None:
        raise Unavailable("not installed")
    library = import_module("flashinfer")  # its own types are no concern of ours
    device, heads, block_size = batch.q.device, batch.heads, batch.plan.block_size
    blocks = (batch.seq_lens + block_size - 1) // block_size
    indptr = torch.cat((blocks.new_zeros(1), blocks.cumsum(0))).int()
    column = torch.arange(batch.block_tables.shape[1], device=device)
    indices = batch.block_tables[column < blocks[:, None]].int()
    last = (batch.seq_lens - (blocks - 1) * block_size).int()
    workspace = torch.empty(WORKSPACE, dtype=torch.uint8, device=device)
    shape = (heads.num_heads, heads.num_kv_heads, heads.head_dim, block_size)
    kind = {"q_data_type": batch.q.dtype, "sm_scale": heads.scale}
    if batch.plan.max_query_len == 1:
        wrapper = library.BatchDecodeWithPagedKVCacheWrapper(
            workspace, "NHD", use_tensor_cores=heads.group >= 4
        )
        wrapper.plan(indptr, indices, last, *shape, **kind, kv_data_type=batch.q.dtype)
    else:
        wrapper = library.BatchPrefillWithPagedKVCacheWrapper(workspace, "NHD")
        starts = batch.query_start_loc.int()
        wrapper.plan(starts, indptr, indices, last, *shape, **kind, causal=True)
    return Run(lambda: wrapper.run(batch.q, (batch.k_cache, batch.v_cache)))
