"""The scales of an fp8 KV cache: one for the keys and one for the values of each KV head.

They are fixed before the engine serves, from the largest |K| and |V| of one forward over tokens
drawn with a fixed seed. So what is stored depends on the model alone, not on who came first, and a
block that is shared or swapped means the same to everybody. The price: values more than twice as
large as any seen here are cut off. Scales are powers of two, so that scaling rounds nothing.
"""

from __future__ import annotations

import numpy as np
import torch

from minillm.execution.batch import Row
from minillm.execution.kv_tensors import KVTensors, Scales
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.packing import PagedAttention, forward, pack
from minillm.kernels.fp8 import scale_for
from minillm.request import Request, SamplingParams

TOKENS = 256  # of the calibration
BLOCK_SIZE = 16


class RangeFinder:
    """Paged attention that notes how large each head's keys and values get."""

    def __init__(self, attention: PagedAttention) -> None:
        self.attention = attention
        self.scales: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

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
        self.scales[layer] = (scale_for(k), scale_for(v))
        return self.attention.attend(
            layer, q, k, v,
            scale=scale, sliding_window=sliding_window, softcap=softcap, sinks=sinks,
        )  # fmt: skip


@torch.inference_mode()
def calibrate(loaded: LoadedModel) -> Scales:
    """Scales for every layer of `loaded`, from one forward."""
    num_tokens = min(TOKENS, loaded.max_model_len)
    tokens = np.random.default_rng(0).integers(0, loaded.vocab_size, num_tokens).tolist()
    blocks = range(-(-num_tokens // BLOCK_SIZE))
    kv = KVTensors(loaded, num_blocks=len(blocks), block_size=BLOCK_SIZE)
    params = SamplingParams(max_tokens=1)
    request = Request("0", 0, num_tokens, params, 1, 0, prompt_token_ids=tokens)
    batch = pack([Row(request, num_tokens, blocks)], BLOCK_SIZE, loaded.device)
    finder = RangeFinder(PagedAttention(batch, kv, backend="torch"))
    forward(loaded.model, batch, finder, batch.logit_rows)
    return finder.scales
