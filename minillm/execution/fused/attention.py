"""Attention layers: query, key and value in one product, rotary embedding in one pass, in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from minillm.execution.attention import LayerAttention
from minillm.execution.fused.product import Product, alone, side_by_side
from minillm.execution.fused.replacing import (
    for_torch,
    plain_linears,
    random_numbers,
    replace_modules,
    same,
    trial_rows,
)
from minillm.kernels.cpu_ops import rotate


@dataclass(frozen=True)
class _Call:
    """What an attention layer asks of the batch: tensors [T, heads, head_dim], and the rest."""

    layer: int
    tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    options: dict[str, Any]


class Listener:
    """A `LayerAttention` that notes what it is asked, and answers with something to go on with."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []

    def attend(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **options: Any
    ) -> torch.Tensor:
        self.calls.append(_Call(layer, (q.clone(), k.clone(), v.clone()), options))
        return torch.tanh(q).contiguous()


class FusedAttention(nn.Module):
    """The attention layer of a transformers model as its decoder layer calls it. `original` is
    what it stands for, what `for_torch` leaves to torch, and what speaks up about arguments that it
    cannot take."""

    def __init__(self, original: nn.Module, qkv: Product, out: Product, call: _Call) -> None:
        super().__init__()
        self.original = original
        self._qkv, self._out = qkv, out
        self._layer, self._options = call.layer, call.options
        self._heads = [tensor.shape[1] for tensor in call.tensors]
        self._head_dim = call.tensors[0].shape[2]

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor] | None = None,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Any = None,
        minillm_batch: LayerAttention | None = None,
        **others: Any,
    ) -> tuple[torch.Tensor, None]:
        """hidden_states: [1, T, hidden]; position_embeddings: cos and sin, [1, T, head_dim]."""
        tokens = hidden_states.shape[1]
        unusual = attention_mask is not None or past_key_values is not None
        if (
            unusual
            or minillm_batch is None
            or position_embeddings is None
            or for_torch(tokens)
            or position_embeddings[0].shape != (1, tokens, self._head_dim)  # turns a part of heads
        ):
            return self.original(
                hidden_states,
                position_embeddings=position_embeddings,
                attention_mask=attention_mask,
                past_key_values=past_key_values,
                minillm_batch=minillm_batch,
                **others,
            )
        x = self._qkv(hidden_states.view(tokens, -1))
        cos, sin = position_embeddings
        rotate(x, cos, sin, self._heads[0] + self._heads[1])
        q, k, v = x.view(tokens, -1, self._head_dim).split_with_sizes(self._heads, 1)
        out = minillm_batch.attend(self._layer, q, k, v, **self._options)
        return self._out(out.view(tokens, -1)).view(1, tokens, -1), None


def fuse_attention(model: nn.Module, twice: bool) -> int:
    """Replace the fp32 CPU attention layers of `model` that turn all of query and key by halves and
    do nothing else to them; returns how many were. `twice`: weights may be kept in a second
    layout."""
    return replace_modules(model, FusedAttention, lambda module: _fused(module, twice))


@torch.no_grad()
def _fused(layer: nn.Module, twice: bool) -> FusedAttention | None:
    linears = plain_linears(layer, "q_proj", "k_proj", "v_proj", "o_proj")
    head_dim = getattr(layer, "head_dim", None)
    if not linears or not isinstance(head_dim, int) or head_dim % 2:
        return None
    hidden = trial_rows(linears[0].in_features)
    cos, sin = random_numbers(2, *hidden.shape[:2], head_dim)
    arguments: dict[str, Any] = {"position_embeddings": (cos, sin), "attention_mask": None}
    wanted, got = Listener(), Listener()
    try:
        answer = layer(hidden, **arguments, minillm_batch=wanted)
    except Exception:  # whatever else a foreign module needs to be called
        return None
    if len(wanted.calls) != 1 or wanted.calls[0].options.get("sinks") is not None:
        return None
    if not isinstance(answer, tuple) or len(answer) != 2 or answer[0].shape != hidden.shape:
        return None
    call = wanted.calls[0]
    widths = [tensor.shape[1] * head_dim for tensor in call.tensors]
    if any(tensor.shape[2] != head_dim for tensor in call.tensors):
        return None
    taken = [*(each.out_features for each in linears[:3]), linears[3].in_features]
    if taken != [*widths, widths[0]]:  # some of it is a gate
        return None
    qkv = side_by_side(linears[:3], twice)
    if qkv is None:
        return None
    fused = FusedAttention(layer, qkv, alone(linears[3], twice), call)
    again = fused(hidden, **arguments, minillm_batch=got)[0]
    pairs = zip(got.calls[0].tensors, call.tensors, strict=True)
    alike = all(same(a, b) for a, b in pairs) and same(again, answer[0])
    return fused if alike else None
