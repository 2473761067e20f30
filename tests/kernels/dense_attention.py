"""Attention written as it is defined, one query and one head at a time, in fp64."""

from __future__ import annotations

import math

import torch


def dense_attention(
    q: torch.Tensor,
    keys: list[torch.Tensor],
    values: list[torch.Tensor],
    query_lens: list[int],
    *,
    scale: float,
    sliding_window: int | None = None,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """q: [T, Hq, D]; keys[b]: [len_b, Hkv, D], values[b]: [len_b, Hkv, Dv]. → [T, Hq, Dv] fp64."""
    rows = []
    t = 0
    for k, v, n in zip(keys, values, query_lens, strict=True):
        group = q.shape[1] // k.shape[1]
        for position in range(len(k) - n, len(k)):
            first = 0 if sliding_window is None else max(0, position + 1 - sliding_window)
            heads = []
            for head in range(q.shape[1]):
                seen = slice(first, position + 1)
                scores = k[seen, head // group].double() @ q[t, head].double() * scale
                if softcap is not None:
                    scores = softcap * torch.tanh(scores / softcap)
                weights = scores.exp()
                total = weights.sum() + (0 if sinks is None else math.exp(float(sinks[head])))
                heads.append(weights / total @ v[seen, head // group].double())
            rows.append(torch.stack(heads))
            t += 1
    return torch.stack(rows)
