"""Tuning the attention kernel on this GPU: candidates are checked, timed and the best one kept."""

from __future__ import annotations

from collections.abc import Callable

import torch

from minillm.config import ConfigError
from minillm.kernels import tile_cache
from minillm.kernels.autotune import Tuned, candidates, pick
from minillm.kernels.synthetic import Batch, Heads, make_batch
from minillm.kernels.tiles import AttentionShape, Kind, Tiles, gpu_of, tile_key, tuned_tiles
from minillm.kernels.timing import time_run

CONTEXT = 4096  # tokens of a sequence
KV_BYTES = 2**29  # of a batch of decodes: much more than the L2 cache
PREFILLS, PREFILL_LEN = 4, 2048
BLOCK_SIZE = 16
ERROR = 0.02  # of a candidate's output, relative to the rule's; bf16 rounds to 0.004


def tune(
    kind: Kind,
    heads: Heads,
    dtype: torch.dtype,
    device: torch.device,
    *,
    deadline: float,
) -> Tuned:
    """Try tiles for `kind` of batch for at most `deadline` seconds, give or take one candidate,
    and keep what is fastest for processes to come. Raises ConfigError without CUDA."""
    if device.type != "cuda":
        raise ConfigError(
            f"tiles are tuned on CUDA devices; {str(device)!r} is none, and needs no tuning."
        )
    shape = AttentionShape(heads.group, heads.head_dim, heads.head_dim, dtype, dtype)
    lengths = _lengths(kind, heads, dtype)
    batch = make_batch(lengths, heads, block_size=BLOCK_SIZE, dtype=dtype, device=device)
    tuned = pick(candidates(kind, shape, gpu_of(device)), _measure(batch, device), deadline)
    if tuned.seconds is not None:
        key = tile_key(kind, shape, device)
        tile_cache.write(key, record(tuned), tile_cache.cache_folder())
        tuned_tiles.cache_clear()
    return tuned


def record(tuned: Tuned) -> tile_cache.Record:
    """What the cache keeps: the tiles, and what they were chosen by."""
    tiles = tuned.tiles
    return {
        "block_m": tiles.block_m,
        "keys": tiles.keys,
        "num_warps": tiles.num_warps,
        "num_stages": tiles.num_stages,
        "seconds": tuned.seconds,
        "rule_seconds": tuned.rule_seconds,
        "num_tried": tuned.num_tried,
        "num_candidates": tuned.num_candidates,
    }


def _lengths(kind: Kind, heads: Heads, dtype: torch.dtype) -> list[tuple[int, int]]:
    if kind == "prefill":
        return [(PREFILL_LEN, PREFILL_LEN)] * PREFILLS
    bytes_each = 2 * CONTEXT * heads.num_kv_heads * heads.head_dim * dtype.itemsize
    return [(1, CONTEXT)] * min(max(KV_BYTES // bytes_each, 8), 256)


def _measure(batch: Batch, device: torch.device) -> Callable[[Tiles], float | None]:
    """Seconds of the kernel with given tiles, None where it cannot run or is wrong."""
    from triton.runtime.errors import TritonError  # triton exists for Linux only

    from minillm.kernels.triton_attention import paged_attention

    right: list[torch.Tensor] = []  # the first output: the rule's

    def measure(tiles: Tiles) -> float | None:
        def run() -> torch.Tensor:
            return paged_attention(
                *batch.tensors, scale=batch.heads.scale, plan=batch.plan, tiles=tiles
            )

        try:
            out = run().float()
        except TritonError:  # more registers or shared memory than there are
            return None
        if not right:
            right.append(out)
        if not (out - right[0]).norm() <= ERROR * right[0].norm():  # NaN is wrong too
            return None
        return time_run(run, device, repeats=20, budget=0.5).median

    return measure
