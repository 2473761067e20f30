"""A model in memory: weights, tokenizer and the numbers that engines ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from minillm.execution.fused import FusedDecoder
    from minillm.execution.tensor_parallel.group import ShardGroup


class ModelError(ValueError):
    """A model that cannot be found, or cannot be served exactly; the message says why."""


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What one attention layer stores per token: K [num_kv_heads, k_dim], V [.., v_dim]."""

    num_kv_heads: int
    k_dim: int
    v_dim: int

    @property
    def elements(self) -> int:
        return self.num_kv_heads * (self.k_dim + self.v_dim)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """Weights and tokenizer, shared by any number of engines: nothing here changes while serving.

    `tokenizer` is a transformers tokenizer, or None for a folder without one, which serves token
    ids only. `layer_shapes` is keyed by the attention layer's `layer_idx`.

    With `tensor_parallel` > 1 this is one rank's share: `layer_shapes` has its heads only. `group`
    are the processes of the other ranks, on rank 0.

    `fused` computes what `model` does, faster, where the CPU has it.
    """

    name: str
    model: PreTrainedModel
    tokenizer: Any | None
    device: torch.device
    dtype: torch.dtype
    vocab_size: int
    eos_token_ids: frozenset[int]
    max_model_len: int
    layer_shapes: dict[int, LayerShape]
    tensor_parallel: int = 1
    group: ShardGroup | None = None
    fused: FusedDecoder | None = None

    @property
    def kv_bytes_per_token(self) -> int:
        """K and V of one token over all layers, bytes; of one rank."""
        return sum(s.elements for s in self.layer_shapes.values()) * self.dtype.itemsize

    @property
    def chat_template(self) -> str | None:
        return getattr(self.tokenizer, "chat_template", None)

    def close(self) -> None:
        """End the processes of a tensor-parallel model, which otherwise end when it is forgotten;
        its engines can do no more steps. Nothing happens to any other model."""
        if self.group is not None:
            self.group.close()
