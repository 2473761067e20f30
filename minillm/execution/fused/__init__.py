"""A model's layers on the CPU with fewer, larger operators: `fuse(…)`.

What a module computes is not looked up by its name: a fused one takes its place only where both
give the same on random numbers, small and large, so an unknown family is faster or as it was,
never wrong. Each keeps the module it stands for, whose weights it shares: a compiler sees that one.
fp32 on the CPU only; without a C compiler nothing changes.
"""

from __future__ import annotations

import torch
from torch import nn

from minillm.execution.fused.attention import fuse_attention
from minillm.execution.fused.decoder import FusedDecoder, fused_decoder
from minillm.execution.fused.mlp import fuse_mlps
from minillm.execution.fused.norms import fuse_norms
from minillm.kernels.cpu_ops import cpu_ops

SMALL = 256 << 20  # bytes of weights that may be kept in a second layout


def fuse(model: nn.Module, vocab_size: int) -> FusedDecoder | None:
    """Replace what can be replaced, in place; returns a forward for the whole model where all of it
    was. Attention layers must call minillm's function."""
    if cpu_ops() is None:
        return None
    fuse_norms(model)
    twice = torch.backends.mkldnn.is_available() and _bytes(model) <= SMALL
    fuse_mlps(model, twice)
    fuse_attention(model, twice)
    return fused_decoder(model, vocab_size)


def _bytes(model: nn.Module) -> int:
    return sum(each.numel() * each.element_size() for each in model.parameters())
