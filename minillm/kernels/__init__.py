"""Attention over a paged KV cache, and writing into it.

One backend so far: torch, for any device. A backend is a module with the same `paged_attention`.
"""

from minillm.kernels.kv_write import write_kv
from minillm.kernels.torch_attention import paged_attention

__all__ = ["paged_attention", "write_kv"]
