"""The attention function that transformers models call in place of their own.

`model(..., minillm_batch=...)` hands extra keyword arguments down to every attention layer. Ours
carries the batch: where K and V of the new tokens go, and how to read those of earlier ones.
Nothing is kept between calls, so engines can share one model.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from transformers import AttentionInterface

from minillm.execution.loaded_model import LayerShape, ModelError

ATTENTION_NAME = "minillm"


class LayerAttention(Protocol):
    """What an attention layer asks of the batch."""

    def attend(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        *,
        scale: float,
        sliding_window: int | None,
        softcap: float | None,
        sinks: torch.Tensor | None,
    ) -> torch.Tensor:
        """q: [T, Hq, D]; k, v: [T, Hkv, D] of the new tokens, after RoPE. → [T, Hq, Dv]."""
        ...


class ShapeProbe:
    """Notes the shapes that each layer stores; its attention is all zeros."""

    def __init__(self) -> None:
        self.shapes: dict[int, LayerShape] = {}

    def attend(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **_: object
    ) -> torch.Tensor:
        if layer in self.shapes:
            raise ModelError(f"two attention layers call themselves layer {layer}")
        self.shapes[layer] = LayerShape(k.shape[1], k.shape[2], v.shape[2])
        return q.new_zeros(*q.shape[:2], v.shape[2])


def attention_forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    is_causal: bool | None = None,
    position_ids: torch.Tensor | None = None,
    minillm_batch: LayerAttention | None = None,
    **unknown: Any,
) -> tuple[torch.Tensor, None]:
    """`AttentionInterface` function: query (1, Hq, T, D), key and value (1, Hkv, T, D) after RoPE;
    returns (1, T, Hq, Dv). Raises ModelError on anything that it would have to ignore."""
    asked = sorted(k for k, v in unknown.items() if v is not None and v is not False)
    if asked:
        raise ModelError(f"its attention passes {', '.join(asked)}, which minillm does not know")
    if minillm_batch is None:
        raise ModelError("it does not hand keyword arguments down to its attention layers")
    if attention_mask is not None:
        raise ModelError("its attention insists on a mask of its own")
    if is_causal is False or getattr(module, "is_causal", True) is False:
        raise ModelError("its attention is not causal")
    layer = getattr(module, "layer_idx", None)
    if layer is None:
        raise ModelError("its attention layers do not say which layer they are")
    out = minillm_batch.attend(
        layer,
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        scale=query.shape[-1] ** -0.5 if scaling is None else float(scaling),
        sliding_window=sliding_window,
        softcap=softcap,
        sinks=s_aux,
    )
    return out.unsqueeze(0), None


AttentionInterface.register(ATTENTION_NAME, attention_forward)
