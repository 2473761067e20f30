"""Batches worth an X-ray, by name: as small as shows the point, at any block size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from random import Random

from minillm.xray.case import EXAMPLE, Case

SMALLEST_TILE = 16  # rows and keys: as small as a matrix product takes, to see several
PREFIX = 16  # tokens that the sequences of "shared" have in common


def _decode(block_size: int) -> Case:
    """One token of each, and for each head a KV head of its own."""
    return Case(
        seq_lens=(40, 22, 31),
        num_heads=4,
        num_kv_heads=4,
        block_size=block_size,
        tile_rows=SMALLEST_TILE,
        tile_keys=SMALLEST_TILE,
    )


def _gqa(block_size: int) -> Case:
    """The same lengths; four query heads share a KV head."""
    return Case(
        seq_lens=(40, 22, 31),
        num_heads=8,
        num_kv_heads=2,
        block_size=block_size,
        tile_rows=SMALLEST_TILE,
        tile_keys=SMALLEST_TILE,
    )


def _prefill(block_size: int) -> Case:
    """One whole prompt: a triangle of query tiles over key tiles."""
    return Case(
        seq_lens=(32,),
        query_lens=(32,),
        block_size=block_size,
        tile_rows=SMALLEST_TILE,
        tile_keys=SMALLEST_TILE,
    )


def _mixed(block_size: int) -> Case:
    """Two decodes and a chunk of a prompt."""
    return Case(
        seq_lens=EXAMPLE.seq_lens,
        query_lens=EXAMPLE.query_lens,
        block_size=block_size,
        tile_rows=SMALLEST_TILE,
        tile_keys=SMALLEST_TILE,
    )


def _shared(block_size: int) -> Case:
    """Three decodes whose first tokens lie in the same physical blocks."""
    lengths, alike = (38, 28, 33), PREFIX // block_size
    needed = [-(-length // block_size) - alike for length in lengths]
    num_blocks = alike + sum(needed) + 2
    blocks = iter(Random(0).sample(range(num_blocks), num_blocks))
    prefix = tuple(islice(blocks, alike))
    tables = tuple(prefix + tuple(islice(blocks, own)) for own in needed)
    return Case(
        seq_lens=lengths,
        block_size=block_size,
        num_blocks=num_blocks,
        block_tables=tables,
        tile_rows=SMALLEST_TILE,
        tile_keys=SMALLEST_TILE,
    )


CASES: Mapping[str, Callable[[int], Case]] = {
    "mixed": _mixed,
    "decode": _decode,
    "gqa": _gqa,
    "prefill": _prefill,
    "shared": _shared,
}
"""Block size in tokens, a divisor of 16 → the case."""
