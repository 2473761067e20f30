"""The forward of a whole model of fused layers: the loop over them, and nothing else.

Under `transformers` each forward also looks for arguments, hooks, masks and outputs that serving
never asks for: a sixth of a decode step of the bundled model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from minillm.execution.attention import LayerAttention
from minillm.execution.fused.attention import FusedAttention, Listener
from minillm.execution.fused.mlp import FusedMLP
from minillm.execution.fused.norms import FusedRMSNorm
from minillm.execution.fused.replacing import same
from minillm.execution.packing import PackedBatch
from minillm.kernels.cpu_ops import add_rms_norm

TRIAL_TOKENS = 5


class FusedDecoder:
    """x += attention(norm(x)); x += mlp(norm(x)), layer by layer; then the last norm and the output
    layer. A `Forward`, in place of `packing.forward`."""

    def __init__(self, model: Any) -> None:
        """Raises AttributeError where the parts of `model` have other names."""
        body = model.model
        self._embed, self._rotary, self._norm = body.embed_tokens, body.rotary_emb, body.norm
        self._head = model.lm_head
        self._layers: list[tuple[FusedRMSNorm, FusedAttention, FusedRMSNorm, FusedMLP]] = [
            (each.input_layernorm, each.self_attn, each.post_attention_layernorm, each.mlp)
            for each in body.layers
        ]

    @property
    def fused(self) -> bool:
        """All layers are of these four parts."""
        kinds = (FusedRMSNorm, FusedAttention, FusedRMSNorm, FusedMLP)
        parts = (pair for layer in self._layers for pair in zip(layer, kinds, strict=True))
        whole = bool(self._layers) and all(isinstance(part, kind) for part, kind in parts)
        return whole and isinstance(self._norm, FusedRMSNorm)

    def __call__(
        self, batch: PackedBatch, attention: LayerAttention, logit_rows: torch.Tensor
    ) -> torch.Tensor:
        """As `packing.forward`: logits of `logit_rows`, [S, vocab]."""
        return self.logits(batch.input_ids, batch.position_ids, attention, logit_rows)

    def logits(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        attention: LayerAttention,
        logit_rows: torch.Tensor,
    ) -> torch.Tensor:
        """input_ids, position_ids: [1, T]; logit_rows: [S] → [S, vocab]."""
        x = self._embed(input_ids)  # the sum so far, [1, T, hidden]
        positions = self._rotary(x, position_ids)
        added: torch.Tensor | None = None  # what the part before wants to add to it
        for norm, attend, norm_after, mlp in self._layers:
            y = add_rms_norm(x, added, norm.scale, norm.eps)
            added, _ = attend.forward(y, positions, minillm_batch=attention)
            y = add_rms_norm(x, added, norm_after.scale, norm_after.eps)
            added = mlp.forward(y)
        y = add_rms_norm(x, added, self._norm.scale, self._norm.eps)
        return self._head(y[0, logit_rows])


@torch.inference_mode()
def fused_decoder(model: nn.Module, vocab_size: int) -> FusedDecoder | None:
    """The loop for `model`, if all of its layers are fused and it gives the same logits."""
    try:
        decoder = FusedDecoder(model)
    except AttributeError:
        return None
    if not decoder.fused:
        return None
    ids = torch.arange(1, TRIAL_TOKENS + 1)[None] % vocab_size
    positions, rows = torch.arange(TRIAL_TOKENS)[None], torch.tensor([1, TRIAL_TOKENS - 1])
    wanted = model(
        input_ids=ids,
        position_ids=positions,
        use_cache=False,
        logits_to_keep=rows,
        minillm_batch=Listener(),
    ).logits[0]
    try:
        got = decoder.logits(ids, positions, Listener(), rows)
    except Exception:  # whatever else foreign parts need to be called
        return None
    return decoder if same(got, wanted) else None
