"""A student's attention in the real engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from minillm.execution.attention import LayerAttention
from minillm.execution.packing import Forward, PackedBatch
from minillm.execution.torch_executor import TorchExecutor
from minillm.llm import LLM

Cache = dict[Any, Any]
Attend = Callable[[Cache, int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""attend(cache, layer, q, k, v): one layer's attention for T new tokens of one request. q:
[T, Hq, D]; k, v: [T, Hkv, D]; `cache`: the request's own, an empty dict when it starts; returns
[T, Hq, D]."""


def masked_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visible: torch.Tensor
) -> torch.Tensor:
    """softmax(q·kᵀ/√D)·v, where token i of q sees token j of k only if `visible[i, j]`.

    q: [T, Hq, D]; k, v: [S, Hkv, D], where each head of k and v serves Hq/Hkv heads of q;
    visible: [T, S] bool. Returns [T, Hq, D].
    """
    heads, queries = (tensor.transpose(0, 1) for tensor in (k, q))
    group = q.shape[1] // k.shape[1]
    keys = heads.repeat_interleave(group, 0)
    values = v.transpose(0, 1).repeat_interleave(group, 0)
    scores = queries @ keys.transpose(1, 2) * q.shape[2] ** -0.5
    weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    return (weights @ values).transpose(0, 1)


def llm_with(attend: Attend, **options: Any) -> LLM:
    """An `LLM` whose attention is `attend`: the engine schedules, accounts for its blocks, samples
    and records as ever, and calls it for each layer, once for each request of the batch. `options`
    are those of `LLM`; prefix caching and swapping are off, since the engine's own cache stays
    empty."""
    llm = LLM(**options, enable_prefix_caching=False, enforce_eager=True, async_scheduling=False)
    executor = llm.engine.executor
    assert isinstance(executor, TorchExecutor)
    executor.forward = _OwnForward(executor.forward, attend)
    return llm


class _OwnForward:
    """A model's forward with `attend` in place of paged attention. A request is known by its first
    block, which it holds until it ends; one whose first token is computed starts anew."""

    def __init__(self, forward: Forward, attend: Attend) -> None:
        self._forward = forward
        self._attend = attend
        self._caches: dict[int, Cache] = {}

    def __call__(
        self, batch: PackedBatch, attention: LayerAttention, logit_rows: torch.Tensor
    ) -> torch.Tensor:
        starts = batch.query_start_loc.tolist()
        sequences = []
        for i, first in enumerate(batch.block_tables[:, 0].tolist()):
            begin, end = starts[i : i + 2]
            if int(batch.seq_lens[i]) == end - begin:
                self._caches[first] = {}
            sequences.append((self._caches[first], slice(begin, end)))
        return self._forward(batch, _OwnAttention(self._attend, sequences), logit_rows)


class _OwnAttention:
    """The `LayerAttention` of one step: the new tokens of each sequence, with its cache."""

    def __init__(self, attend: Attend, sequences: list[tuple[Cache, slice]]) -> None:
        self._attend = attend
        self._sequences = sequences

    def attend(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **_: Any
    ) -> torch.Tensor:
        return torch.cat(
            [self._attend(cache, layer, q[own], k[own], v[own]) for cache, own in self._sequences]
        )
