"""FP8 keys and values: e4m3, one byte, with a scale per KV head.

A stored x is read as x · scale. e4m3 has 3 bits of mantissa, reaches 448 and has no infinity
(Micikevicius et al., "FP8 Formats for Deep Learning", 2022): what lies beyond is cut to ±448.
"""

from __future__ import annotations

import torch

from minillm.config import ConfigError

FP8 = torch.float8_e4m3fn
FP8_MAX = 448.0
TOP = 200.0  # what the largest value that a scale was made for is stored as, at most


def scale_for(x: torch.Tensor) -> torch.Tensor:
    """x: [T, Hkv, D] → [Hkv] fp32, the least powers of two that bring |x| to TOP at most."""
    largest = x.float().abs().amax((0, 2))
    return torch.where(largest > 0, torch.exp2(torch.ceil(torch.log2(largest / TOP))), 1.0)


def to_fp8(x: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """x: [T, Hkv, D], scale: [Hkv] fp32 (None: 1) → [T, Hkv, D] e4m3, rounded to nearest even."""
    x = x.float()
    if scale is not None:
        x = x / scale[:, None]
    return x.clamp(-FP8_MAX, FP8_MAX).to(FP8)


def as_bytes(cache: torch.Tensor) -> torch.Tensor:
    """The same memory as uint8 if it holds fp8, which torch can index and copy only so."""
    return cache.view(torch.uint8) if cache.dtype == FP8 else cache


def check_fp8(backend: str, device: torch.device) -> None:
    """Raises ConfigError where the kernels of `backend` ("triton" or "torch") cannot read fp8."""
    if backend == "triton" and device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        if (major, minor) < (8, 9):
            raise ConfigError(
                "kv_cache_dtype='fp8': Triton reads e4m3 on GPUs of compute capability 8.9 or "
                f"above; this one has {major}.{minor}. Use 'auto', or attention_backend='torch'."
            )
