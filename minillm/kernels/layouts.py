"""How a block's keys and values lie in memory.

| layout   | K                                        | V                               |
|----------|------------------------------------------|---------------------------------|
| `NHD`    | [num_blocks, block_size, Hkv, D]         | [num_blocks, block_size, Hkv, Dv] |
| `HND`    | [num_blocks, Hkv, block_size, D]         | [num_blocks, Hkv, block_size, Dv] |
| `packed` | [num_blocks, Hkv, D/x, block_size, x]    | [num_blocks, Hkv, Dv, block_size] |

NHD keeps all heads of a token together: a token is written in one piece. HND keeps all tokens of a
head together: a head's tile is read in one piece. The packed one is vLLM's first: x elements are
16 bytes, what one thread of a GPU loads at once, and neighbouring threads load neighbouring tokens.
Every cache is one contiguous tensor, and a block takes the same bytes in each layout.
"""

from __future__ import annotations

import torch

LAYOUTS = ("NHD", "HND", "packed")
PACK_BYTES = 16


def pack_size(head_dim: int, itemsize: int) -> int:
    """x of the packed layout: elements in 16 bytes. Raises ValueError if heads are no multiple."""
    x = PACK_BYTES // itemsize
    if head_dim % x:
        raise ValueError(
            f"layout 'packed' cuts keys into pieces of {PACK_BYTES} bytes, {x} elements of "
            f"{itemsize} bytes: head size {head_dim} is no multiple of {x}. Use 'NHD' or 'HND'."
        )
    return x


def cache_shapes(
    layout: str, num_blocks: int, block_size: int, num_kv_heads: int, *,
    head_dim: int, v_dim: int, itemsize: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:  # fmt: skip
    """(shape of k_cache, shape of v_cache). `itemsize`: bytes of an element."""
    check_layout(layout)
    if layout == "NHD":
        front = (num_blocks, block_size, num_kv_heads)
        return (*front, head_dim), (*front, v_dim)
    front = (num_blocks, num_kv_heads)
    if layout == "HND":
        return (*front, block_size, head_dim), (*front, block_size, v_dim)
    x = pack_size(head_dim, itemsize)
    return (*front, head_dim // x, block_size, x), (*front, v_dim, block_size)


def by_token(
    k_cache: torch.Tensor, v_cache: torch.Tensor, layout: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Views with the same axes in every layout, nothing copied.

    K: [num_blocks, block_size, Hkv, D/x, x], where x is D unless packed; V: [num_blocks,
    block_size, Hkv, Dv]. Raises ValueError for an unknown layout.
    """
    check_layout(layout)
    if layout == "packed":
        return k_cache.permute(0, 3, 1, 2, 4), v_cache.permute(0, 3, 1, 2)
    if layout == "HND":
        k_cache, v_cache = k_cache.transpose(1, 2), v_cache.transpose(1, 2)
    return k_cache.unsqueeze(3), v_cache


def as_nhd(
    k_cache: torch.Tensor, v_cache: torch.Tensor, layout: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The caches with the axes of NHD: views, but for packed keys, which are copied."""
    k, v = by_token(k_cache, v_cache, layout)
    return k.flatten(3), v


def convert(
    k_cache: torch.Tensor, v_cache: torch.Tensor, source: str, target: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """New caches with the content of these, from layout `source` to layout `target`."""
    k, v = as_nhd(k_cache, v_cache, source)
    k_shape, v_shape = cache_shapes(
        target, *k.shape[:3], head_dim=k.shape[3], v_dim=v.shape[3], itemsize=k.element_size()
    )
    k_target, v_target = k.new_empty(k_shape), v.new_empty(v_shape)
    k_view, v_view = by_token(k_target, v_target, target)
    k_view.copy_(k.unflatten(3, k_view.shape[3:]))
    v_view.copy_(v)
    return k_target, v_target


def byte_offset(
    layout: str, kind: str, *, block: int, slot: int, head: int, dim: int,
    block_size: int, num_kv_heads: int, head_dim: int, itemsize: int,
) -> int:  # fmt: skip
    """Where element `dim` of KV head `head` of the token at `slot` of block `block` begins: bytes
    from the start of its cache. `kind`: "k" or "v"; `head_dim`: D for "k", Dv for "v". Works on
    numpy arrays of indices too."""
    check_layout(layout)
    if kind not in ("k", "v"):
        raise ValueError(f"unknown kind {kind!r}; known: 'k', 'v'")
    if layout == "NHD":
        element = ((block * block_size + slot) * num_kv_heads + head) * head_dim + dim
    elif layout == "HND":
        element = ((block * num_kv_heads + head) * block_size + slot) * head_dim + dim
    else:
        x = pack_size(head_dim, itemsize) if kind == "k" else 1
        piece = (block * num_kv_heads + head) * (head_dim // x) + dim // x
        element = (piece * block_size + slot) * x + dim % x
    return element * itemsize


def check_layout(layout: str) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(map(repr, LAYOUTS))}")
