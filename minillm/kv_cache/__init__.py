"""KV cache managers: who holds which blocks. Numbers only; the tensors live in `execution`."""

from minillm.kv_cache.paged import PagedKVCache, PrefixHit

__all__ = ["PagedKVCache", "PrefixHit"]
