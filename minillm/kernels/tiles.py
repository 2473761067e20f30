"""How large the attention kernel's tiles are: by rule, or as `minillm tune` found fastest here.

Tiles change speed, and in which order floating-point sums are taken: results differ by rounding.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from minillm.kernels import tile_cache

Kind = Literal["decode", "prefill"]
KINDS: tuple[Kind, ...] = ("decode", "prefill")
MIN_ROWS = 16  # the fewest that a matrix product takes


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """What a model's attention layer brings."""

    group: int  # query heads per KV head
    head_dim: int
    v_dim: int
    dtype: torch.dtype  # of queries and outputs
    kv_dtype: torch.dtype  # of the cache


@dataclass(frozen=True, slots=True)
class Tiles:
    block_m: int  # query rows, a power of two
    block_q: int  # queries: `block_m` over the query heads per KV head, rounded down
    keys: int  # per iteration, a power of two
    num_warps: int
    num_stages: int
    num_sms: int  # multiprocessors of the device

    @property
    def buffers(self) -> int:
        """Tiles of keys in flight or in use. A stage is spent on the block table, whose entries
        must be there before what they point to can be asked for; so each buffer after the first
        takes two."""
        return max(1, (self.num_stages - 1) // 2)

    def __str__(self) -> str:
        sizes = f"{self.block_m} rows × {self.keys} keys"
        return f"{sizes}, {self.num_warps} warps, {self.num_stages} stages"


@dataclass(frozen=True, slots=True)
class Gpu:
    """What bounds tiles and launches."""

    num_sms: int  # multiprocessors
    shared_memory: int  # bytes that one program may have


def choose_tiles(max_query_len: int, shape: AttentionShape, device: torch.device) -> Tiles:
    """For a batch whose longest query has `max_query_len` tokens: tuned tiles, else the rule's.

    On the CPU, which means the interpreter, time follows the number of iterations.
    """
    if device.type == "cpu":
        block_m = _rows(max_query_len, shape, most=128)
        return Tiles(block_m, block_m // shape.group, 128, 1, 1, num_sms=1)
    kind = kind_of(max_query_len, shape)
    tuned = None if kind is None else tuned_tiles(kind, shape, device)
    return tuned or rule_tiles(max_query_len, shape, gpu_of(device))


def rule_tiles(max_query_len: int, shape: AttentionShape, gpu: Gpu) -> Tiles:
    """Few rows for decodes, which wait for memory; many for prefills, which reuse each key.

    One tile of keys is loaded while the other is used, where shared memory has room for both.
    """
    block_m = _rows(max_query_len, shape, _most_rows(shape))
    element_size = shape.dtype.itemsize
    row_bytes = power_of_2(max(shape.head_dim, shape.v_dim)) * element_size
    stage = 2**14 if element_size <= 2 else 2**13  # bytes of keys in flight, and again of values
    keys = max(16, min(128, stage // row_bytes))
    num_warps = 8 if block_m >= 128 else 4
    two = Tiles(block_m, block_m // shape.group, keys, num_warps, 5, gpu.num_sms)
    fits = shared_memory_of(two, shape) <= gpu.shared_memory
    return two if fits else replace(two, num_stages=3)


def shared_memory_of(tiles: Tiles, shape: AttentionShape) -> int:
    """About what a program takes, bytes: keys and values, queries, and as much again twice for
    the weights and the output on their way between layouts."""
    dim, v_dim = power_of_2(shape.head_dim), power_of_2(shape.v_dim)
    keys = tiles.buffers * tiles.keys * (dim + v_dim) * shape.kv_dtype.itemsize
    return keys + 3 * tiles.block_m * max(dim, v_dim) * shape.dtype.itemsize


def kind_of(max_query_len: int, shape: AttentionShape) -> Kind | None:
    """What is tuned apart: nothing but decodes, and queries that fill the tallest tile. Between
    them, None: the rule holds."""
    if max_query_len == 1:
        return "decode"
    return "prefill" if max_query_len * shape.group >= _most_rows(shape) else None


def _most_rows(shape: AttentionShape) -> int:
    """What registers hold."""
    if shape.dtype.itemsize > 2:
        return 16
    return 64 if max(shape.head_dim, shape.v_dim) > 128 else 128


def _rows(max_query_len: int, shape: AttentionShape, most: int) -> int:
    wanted = min(max_query_len * shape.group, most)
    return max(MIN_ROWS, power_of_2(shape.group), power_of_2(wanted))


def power_of_2(n: int) -> int:
    """The least power of two that is at least `n`."""
    return 1 << (n - 1).bit_length()


@cache
def tuned_tiles(kind: Kind, shape: AttentionShape, device: torch.device) -> Tiles | None:
    """What `minillm tune` kept for this very kernel, GPU and Triton; looked up once a process."""
    record = tile_cache.read(tile_key(kind, shape, device), tile_cache.cache_folder())
    return None if record is None else tiles_from(record, shape, gpu_of(device).num_sms)


def tiles_from(record: Mapping[str, Any], shape: AttentionShape, num_sms: int) -> Tiles | None:
    """The tiles of a record of the cache; None, with a warning, where they are not possible."""
    sizes = [record.get(name, 0) for name in ("block_m", "keys", "num_warps", "num_stages")]
    if all(isinstance(size, int) and 0 < size <= 1024 for size in sizes):
        block_m, keys, num_warps, num_stages = sizes
        least = max(MIN_ROWS, power_of_2(shape.group))
        powers = all(size == power_of_2(size) for size in (block_m, keys, num_warps))
        if powers and block_m >= least and keys >= 16:
            return Tiles(block_m, block_m // shape.group, keys, num_warps, num_stages, num_sms)
    warnings.warn(f"tuned tiles ignored: {dict(record)} are none for {shape}", stacklevel=2)
    return None


def tile_key(kind: Kind, shape: AttentionShape, device: torch.device) -> dict[str, str | int]:
    """What tuned tiles depend on. Another kernel source, Triton or GPU has none yet."""
    return {
        "kind": kind,
        "group": shape.group,
        "head_dim": shape.head_dim,
        "v_dim": shape.v_dim,
        "dtype": str(shape.dtype).removeprefix("torch."),
        "kv_dtype": str(shape.kv_dtype).removeprefix("torch."),
        **machine_key(device),
    }


@cache
def machine_key(device: torch.device) -> dict[str, str | int]:
    """The part of `tile_key` that is the same for every shape."""
    files = ("triton_attention.py", "triton_tile.py")
    source = b"".join(Path(__file__).with_name(name).read_bytes() for name in files)
    return {
        "gpu": torch.cuda.get_device_name(device),
        "triton": version("triton"),
        "kernel": hashlib.sha256(source).hexdigest()[:16],
    }


@cache
def gpu_of(device: torch.device) -> Gpu:
    """The limits of a CUDA device."""
    properties = torch.cuda.get_device_properties(device)
    return Gpu(properties.multi_processor_count, properties.shared_memory_per_block_optin)
