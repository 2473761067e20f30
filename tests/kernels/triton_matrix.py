"""What the Triton kernels are tested with, under the interpreter and on a GPU alike."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

MIXED = [(1, 50), (7, 33), (1, 1), (4, 4), (20, 150)]  # (new tokens, all tokens)
DECODES = [(1, 300), (1, 2), (1, 129), (1, 128)]
PREFILLS = [(40, 40), (1, 1), (150, 150)]


class Setting(NamedTuple):
    lengths: list[tuple[int, int]]
    shape: dict[str, Any]  # of the cache, for `Case`
    options: dict[str, Any]  # of `paged_attention`


def setting(lengths: list[tuple[int, int]], *, block_size: int = 16, **rest: Any) -> Setting:
    of_shape = ("kv_heads", "group", "head_dim", "v_dim", "layout", "fp8")
    shape = {k: v for k, v in rest.items() if k in of_shape}
    options = {k: v for k, v in rest.items() if k not in of_shape}
    return Setting(lengths, {"block_size": block_size, **shape}, options)


MATRIX = {
    "mixed": setting(MIXED),
    "decodes": setting(DECODES),
    "prefills": setting(PREFILLS),
    "block size 1": setting(MIXED, block_size=1),
    "block size 64": setting(DECODES, block_size=64),
    "block size 256": setting(DECODES, block_size=256),
    "one KV head for all": setting(MIXED, kv_heads=1, group=8),
    "a KV head for each": setting(MIXED, kv_heads=4, group=1),
    "groups of three": setting(MIXED, group=3),
    "groups of seven": setting(PREFILLS, kv_heads=1, group=7),
    "groups of twenty": setting(DECODES, kv_heads=1, group=20),
    "head size 16": setting(MIXED, head_dim=16),
    "head size 80": setting(MIXED, head_dim=80),
    "head size 96": setting(DECODES, head_dim=96),
    "head size 192, of values 128": setting(MIXED, head_dim=192, v_dim=128),
    "head size 256": setting(DECODES, head_dim=256),
    "window of one": setting(MIXED, sliding_window=1),
    "window": setting(MIXED, sliding_window=19),
    "window wider than all": setting(MIXED, sliding_window=1000),
    "softcap": setting(MIXED, softcap=2.0),
    "sinks": setting(MIXED, sinks=torch.linspace(-2, 2, 4)),
    "all three": setting(PREFILLS, sliding_window=33, softcap=3.0, sinks=torch.ones(4)),
    "heads first": setting(MIXED, layout="HND"),
    "heads first, block size 1": setting(DECODES, layout="HND", block_size=1),
    "packed": setting(MIXED, layout="packed"),
    "packed, head size 80, of values 48": setting(MIXED, layout="packed", head_dim=80, v_dim=48),
    "packed, block size 256": setting(DECODES, layout="packed", block_size=256, sliding_window=40),
    "fp8": setting(MIXED, fp8=True, softcap=3.0),
    "fp8, packed, window": setting(
        MIXED, fp8=True, layout="packed", head_dim=48, sliding_window=19
    ),
    "fp8, splits": setting(DECODES[1:], fp8=True, layout="HND", num_splits=2, sinks=torch.ones(4)),
    "two splits": setting(DECODES[1:], num_splits=2),
    "more splits than keys": setting([(1, 3), (2, 2)], num_splits=5),
    "splits and all three": setting(
        MIXED[:4], num_splits=3, sliding_window=19, softcap=3.0, sinks=torch.ones(4)
    ),
    "splits of the mix": setting(MIXED[:3], num_splits=4, block_size=1, head_dim=24),
}
