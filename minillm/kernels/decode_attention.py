"""Decodes on the CPU: the C kernel of `decode_attention.c`, called on torch tensors.

Gathering K and V into dense tensors first reads and writes them once more each. Measured on a
31.6 M-parameter Llama, 32 sequences of about 190 tokens, fp32, one thread of a Xeon: 11 ms per
step where gathering took 35 to 39, which is three quarters of what that memory gave to a plain
stream of reads at the time.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from minillm.kernels.native import compiled_folder, load

SOURCE = Path(__file__).with_suffix(".c")
MOST_THREADS = 64  # as in the source
KEYS_PER_THREAD = 512  # a thread is not worth starting for fewer


@dataclass(frozen=True, slots=True)
class DecodeRows:
    """Sequences with one query each, as host arrays of int64. B of them; sequence i attends to the
    positions [first[i], end[i]) of block table i with the query in row `tokens[i]`."""

    tables: np.ndarray  # [B, max_blocks]
    tokens: np.ndarray  # [B]
    first: np.ndarray  # [B]
    end: np.ndarray  # [B]
    bounds: np.ndarray  # [threads + 1]: which sequences each thread takes
    longest: int  # keys of one sequence
    addresses: tuple[int, ...]  # of the arrays, in their order here

    @staticmethod
    def of(
        tables: np.ndarray, tokens: np.ndarray, first: np.ndarray, end: np.ndarray, threads: int
    ) -> DecodeRows:
        """Share the sequences out to at most `threads`, with about equal numbers of keys each."""
        lengths = end - first
        keys = np.cumsum(lengths)
        count = int(max(1, min(threads, MOST_THREADS, keys[-1] // KEYS_PER_THREAD)))
        cuts = np.searchsorted(keys, keys[-1] * np.arange(1, count) / count, side="left")
        bounds = np.concatenate(([0], cuts, [len(keys)])).astype(np.int64)
        arrays = (tables, tokens, first, end, bounds)
        addresses = tuple(array.__array_interface__["data"][0] for array in arrays)
        return DecodeRows(*arrays, int(lengths.max()), addresses)


class _Batch(ctypes.Structure):
    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in "q k_cache v_cache tables tokens first end sinks scores out".split()
        ),
        *(
            (name, ctypes.c_int64)
            for name in "kv_heads block_size max_blocks longest q_stride".split()
        ),
        ("scale", ctypes.c_float),
        ("softcap", ctypes.c_float),
    ]


@cache
def kernel(head_dim: int, value_dim: int, group: int) -> ctypes.CDLL | None:
    """The kernel for these sizes; None where it cannot be compiled."""
    sizes = {"HEAD_DIM": head_dim, "VALUE_DIM": value_dim, "GROUP": group}
    library = load(SOURCE, sizes, compiled_folder())
    if library is not None:
        library.decode_attention.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        library.decode_attention.restype = None
    return library


def serves(q: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor) -> bool:
    """Whether the kernel computes these: fp32 on the CPU, whole caches in "NHD", and a compiler.

    q: [T, Hq, D]; k_cache: [num_blocks, block_size, Hkv, D], v_cache the same with its own Dv.
    """
    if q.device.type != "cpu" or not k_cache.is_contiguous() or not v_cache.is_contiguous():
        return False
    if not q.dtype == k_cache.dtype == v_cache.dtype == torch.float32:
        return False
    return kernel(q.shape[2], v_cache.shape[3], q.shape[1] // k_cache.shape[2]) is not None


def decode_attention(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    rows: DecodeRows,
    out: torch.Tensor,
    *,
    scale: float,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
) -> None:
    """Attend for `rows` and write their results to `out` [T, Hq, Dv], contiguous, other rows left
    alone. Only where `serves` says so; the rest as in `paged_attention`. At least one row."""
    _, block_size, kv_heads, head_dim = k_cache.shape
    library = kernel(head_dim, v_cache.shape[3], q.shape[1] // kv_heads)
    assert library is not None
    if q.stride(2) != 1 or q.stride(1) != head_dim:
        q = q.contiguous()
    if sinks is not None:
        sinks = sinks.float().contiguous()
    threads = len(rows.bounds) - 1
    scores = q.new_empty(threads, q.shape[1], rows.longest)
    tables, tokens, first, end, bounds = rows.addresses
    batch = _Batch(
        q.data_ptr(),
        k_cache.data_ptr(),
        v_cache.data_ptr(),
        tables,
        tokens,
        first,
        end,
        None if sinks is None else sinks.data_ptr(),
        scores.data_ptr(),
        out.data_ptr(),
        kv_heads,
        block_size,
        rows.tables.shape[1],
        rows.longest,
        q.stride(0),
        scale,
        softcap or 0.0,
    )
    library.decode_attention(ctypes.byref(batch), bounds, threads)
