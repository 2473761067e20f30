"""KV cache managers: who holds which blocks. Numbers only; the tensors live in `execution`."""

from minillm.kv_cache.make import make_kv_cache, most_tokens_per_sequence
from minillm.kv_cache.manager import KVCache, PrefixHit
from minillm.kv_cache.paged import PagedKVCache

__all__ = [
    "KVCache",
    "PagedKVCache",
    "PrefixHit",
    "make_kv_cache",
    "most_tokens_per_sequence",
]
