"""The KV cache itself: one pair of tensors per attention layer, and how many blocks fit."""

from __future__ import annotations

import psutil
import torch

from minillm.execution.loaded_model import LoadedModel
from minillm.execution.probe import run_probe

CPU_SHARE = 0.25  # of the available RAM


class KVTensors:
    """Per-layer caches `[num_blocks, block_size, num_kv_heads, head_dim]`, K and V, keyed by layer.

    Layers may differ in heads and head size. Memory is not cleared: a slot holds garbage until
    it is written.
    """

    def __init__(self, loaded: LoadedModel, *, num_blocks: int, block_size: int) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        for layer, shape in loaded.layer_shapes.items():
            size = (num_blocks, block_size, shape.num_kv_heads)
            self.layers[layer] = (
                torch.empty(*size, shape.k_dim, dtype=loaded.dtype, device=loaded.device),
                torch.empty(*size, shape.v_dim, dtype=loaded.dtype, device=loaded.device),
            )


def bytes_per_block(loaded: LoadedModel, block_size: int) -> int:
    """Bytes that one block takes over all layers."""
    return loaded.kv_bytes_per_token * block_size


def blocks_that_fit(
    loaded: LoadedModel,
    block_size: int,
    *,
    gpu_memory_utilization: float = 0.9,
    max_num_batched_tokens: int = 2048,
) -> int:
    """Blocks that this machine's memory allows beside the weights; at least 0.

    CPU: a quarter of the available RAM. CUDA: `gpu_memory_utilization` of the device's total, less
    what is in use now and less the peak that a forward over `max_num_batched_tokens` adds.
    """
    if loaded.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(loaded.device)
        peak = _forward_peak(loaded, max_num_batched_tokens)
        room = total * gpu_memory_utilization - (total - free) - peak
    else:
        room = psutil.virtual_memory().available * CPU_SHARE
    return max(0, int(room // bytes_per_block(loaded, block_size)))


def _forward_peak(loaded: LoadedModel, num_tokens: int) -> int:
    """Bytes of activations at the peak of one forward over `num_tokens` tokens."""
    torch.cuda.synchronize(loaded.device)
    torch.cuda.reset_peak_memory_stats(loaded.device)
    before = torch.cuda.memory_allocated(loaded.device)
    run_probe(loaded.model, min(num_tokens, loaded.max_model_len), loaded.device)
    return torch.cuda.max_memory_allocated(loaded.device) - before
