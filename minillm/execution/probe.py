"""A forward that asks each attention layer what it would store."""

from __future__ import annotations

from typing import Any

import torch

from minillm.execution.attention import LayerAttention, ShapeProbe
from minillm.execution.loaded_model import LayerShape


def run_probe(model: Any, num_tokens: int, device: torch.device) -> dict[int, LayerShape]:
    """Run `num_tokens` tokens through `model` with no attention; returns each layer's shape."""
    probe = ShapeProbe()
    run_with(model, probe, num_tokens, 1, device)
    return probe.shapes


@torch.inference_mode()
def run_with(
    model: Any, attention: LayerAttention, num_tokens: int, num_logits: int, device: torch.device
) -> None:
    """Run `num_tokens` tokens through `model`, for the logits of the last `num_logits`."""
    tokens = torch.zeros(1, num_tokens, dtype=torch.int64, device=device)
    model(
        input_ids=tokens,
        position_ids=torch.arange(num_tokens, device=device)[None],
        use_cache=False,
        logits_to_keep=torch.arange(num_tokens - num_logits, num_tokens, device=device),
        minillm_batch=attention,
    )
