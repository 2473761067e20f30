"""The linear layers of a model and nothing else, over the tokens of given steps: what an engine
would need if attention, norms, sampling and scheduling cost nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from minillm.bench.engine.minillm_run import StepSizes
from minillm.bench.engine.stopwatch import Seconds, Stopwatch
from minillm.execution.linear_layout import PackedLinear


@torch.inference_mode()
def linears_alone(model: Any, sizes: StepSizes) -> Seconds:
    """Each step's tokens through each linear layer of `model`, and the rows that sample through its
    output layer. The weights are as they lie in `model`."""
    head = model.get_output_embeddings()
    linears = [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear | PackedLinear) and module is not head
    ]
    some = next(model.parameters())
    widths = {layer.in_features for layer in (*linears, head)}
    most = max(sizes.tokens)
    inputs = {n: torch.randn(most, n, dtype=some.dtype, device=some.device) for n in widths}
    with Stopwatch(some.device) as watch:
        for tokens, sampled in zip(sizes.tokens, sizes.sampled, strict=True):
            for layer in linears:
                layer(inputs[layer.in_features][:tokens])
            if sampled:
                head(inputs[head.in_features][:sampled])
    return watch.seconds
