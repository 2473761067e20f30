"""What lies between a decoder layer's matrix products, on the CPU: `cpu_ops.c` on torch tensors.

All tensors are fp32 on the CPU. `cpu_ops()` is None where there is no C compiler; nothing here may
be called then.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch

from minillm.kernels.native import compiled_folder, load, source_of

_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES = {
    "add_rms_norm": (*[_POINTER] * 4, _NUMBER, _NUMBER, ctypes.c_float),
    "rotate": (*[_POINTER] * 3, *[_NUMBER] * 4),
    "gated_silu": (*[_POINTER] * 2, _NUMBER, _NUMBER),
    "write_rows": (*[_POINTER] * 3, *[_NUMBER] * 4),
}


@cache
def cpu_ops() -> Any:
    """The library; None where it cannot be compiled."""
    library = load(source_of("cpu_ops.c"), {}, compiled_folder())
    if library is not None:
        for name, arguments in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, None
        library.write_rows.restype = _NUMBER
    return library


def add_rms_norm(
    x: torch.Tensor, added: torch.Tensor | None, weight: torch.Tensor, eps: float
) -> torch.Tensor:
    """x += added, in place; then x / sqrt(mean(x²) + eps) · weight over the last dimension. x and
    added have one shape and are contiguous; weight: [size]."""
    out = torch.empty_like(x)
    size = weight.shape[0]
    more = None if added is None else added.data_ptr()
    addresses = (x.data_ptr(), more, weight.data_ptr(), out.data_ptr())
    cpu_ops().add_rms_norm(*addresses, x.numel() // size, size, eps)
    return out


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> None:
    """Rotary embedding of the first `heads` heads of each row, in place. x: [T, N], a row's
    elements next to each other; cos, sin: [..., T, head_dim], which is even."""
    cos, sin = cos.contiguous(), sin.contiguous()
    addresses = (x.data_ptr(), cos.data_ptr(), sin.data_ptr())
    cpu_ops().rotate(*addresses, x.shape[0], x.stride(0), heads, cos.shape[-1])


def gated_silu(x: torch.Tensor) -> torch.Tensor:
    """silu(gate) · up: [T, 2N], gate before up, contiguous → [T, N]."""
    rows, both = x.shape
    out = x.new_empty(rows, both // 2)
    cpu_ops().gated_silu(x.data_ptr(), out.data_ptr(), rows, both // 2)
    return out


def can_write(new: torch.Tensor, cache: torch.Tensor, slots: torch.Tensor) -> bool:
    """Whether `write_rows` serves these: fp32 on the CPU, each token's heads next to each other,
    a slot for each token, the cache in one piece and for such heads, and a compiler."""
    return (
        new.dtype == cache.dtype == torch.float32
        and new.is_cpu
        and cache.is_cpu
        and slots.is_cpu
        and new.shape[1:] == cache.shape[2:]
        and slots.dtype == torch.int64
        and slots.shape == new.shape[:1]
        and new.stride(2) == 1
        and new.stride(1) == new.shape[2]
        and cache.is_contiguous()
        and cpu_ops() is not None
    )


def write_rows(new: torch.Tensor, cache: torch.Tensor, slots: torch.Tensor) -> None:
    """Token t of `new` [T, H, D] to slot `slots[t]` of `cache` [num_blocks, block_size, H, D], in
    place. slots: [T] int64, contiguous. Raises IndexError for a slot that is not in the cache."""
    rows, heads, dim = new.shape
    num_slots = cache.shape[0] * cache.shape[1]
    addresses = (new.data_ptr(), cache.data_ptr(), slots.data_ptr())
    written = cpu_ops().write_rows(*addresses, rows, new.stride(0), heads * dim, num_slots)
    if written < rows:
        slot = int(slots[written])
        raise IndexError(f"token {written} is to go to slot {slot}; the cache has {num_slots}")
