"""What every contender must come up with, before it is timed."""

from __future__ import annotations

import torch

from minillm.kernels.fp8 import FP8
from minillm.kernels.synthetic import Batch

ERRORS = {FP8: 0.1, torch.bfloat16: 0.02, torch.float16: 0.004, torch.float32: 1e-4}
QUERIES_AT_ONCE = 512


def attention(batch: Batch) -> torch.Tensor:
    """Causal attention spelled out in fp32, from the keys that never saw a cache: [T, Hq, D]."""
    rows = []
    starts, lengths = batch.query_start_loc.tolist(), batch.seq_lens.tolist()
    keys, values = batch.keys.split(lengths), batch.values.split(lengths)
    for b, length in enumerate(lengths):
        k, v = (each[b].float().movedim(0, 1)[:, None] for each in (keys, values))
        positions = torch.arange(length, device=batch.q.device)
        begin, end = starts[b], starts[b + 1]
        for first in range(begin, end, QUERIES_AT_ONCE):
            q = batch.q[first : min(first + QUERIES_AT_ONCE, end)].float()
            at = length - (end - first) + positions[: len(q)]
            q = q.movedim(0, 1).unflatten(0, (-1, batch.heads.group))  # [Hkv, G, Q, D]
            scores = q @ k.transpose(-1, -2) * batch.heads.scale
            scores.masked_fill_(positions > at[:, None], -torch.inf)
            rows.append((scores.softmax(-1) @ v).flatten(0, 1).movedim(0, 1))
    return torch.cat(rows)


def written(batch: Batch) -> torch.Tensor:
    """Keys and then values: what a write must have put where the slots say."""
    return torch.cat((batch.keys, batch.values)).float()


def error(got: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest error of any row (a token's head), relative to that row's length. NaN counts as
    infinite, as does another shape."""
    if got.shape != wanted.shape:
        return torch.inf
    off = (got.float() - wanted).norm(dim=-1) / wanted.norm(dim=-1)
    return float(off.nan_to_num(torch.inf).max())
