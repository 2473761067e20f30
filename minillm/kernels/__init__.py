"""Attention over a paged KV cache, and writing into it.

Two backends with the same functions: Triton, for CUDA and for its interpreter on the CPU, and
torch, for any device. `simple_attention.py` is the first Triton kernel to read.
"""

from minillm.kernels.backends import (
    ATTENTION_BACKENDS,
    choose_backend,
    paged_attention,
    write_kv,
)

__all__ = ["ATTENTION_BACKENDS", "choose_backend", "paged_attention", "write_kv"]
