"""Which implementation computes: Triton on CUDA, or under its interpreter; torch anywhere.

triton is imported when it is first used: it exists on Linux only.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import torch

from minillm.config import ConfigError, closest
from minillm.kernels import kv_write, torch_attention
from minillm.kernels.csr_pages import CsrPages
from minillm.kernels.layouts import by_token

ATTENTION_BACKENDS = ("auto", "triton", "torch")


def choose_backend(backend: str, device: torch.device) -> str:
    """ "triton" or "torch" for `attention_backend=backend` on `device`.

    "auto" takes Triton where it runs. Raises ConfigError for an unknown name, and for "triton"
    where it cannot run.
    """
    if backend not in ATTENTION_BACKENDS:
        raise ConfigError(
            f"unknown attention_backend {backend!r}.{closest(backend, ATTENTION_BACKENDS)} "
            f"Known: {', '.join(ATTENTION_BACKENDS)}."
        )
    if backend == "torch":  # asked by every layer of every step
        return backend
    obstacle = _obstacle(device)
    if backend == "triton" and obstacle:
        raise ConfigError(f"attention_backend='triton' cannot run here: {obstacle}")
    return "torch" if obstacle else "triton"


def _obstacle(device: torch.device) -> str | None:
    if find_spec("triton") is None:
        return "the triton package is not installed (it exists for Linux). Use 'torch'."
    if device.type == "cuda" or (device.type == "cpu" and _interpreted()):
        return None
    return (
        f"the device is {device.type!r}, and Triton compiles for CUDA only. Use 'torch', or set "
        "TRITON_INTERPRET=1 before Python starts to have kernels interpreted on the CPU, slowly."
    )


def _interpreted() -> bool:
    """Kernels look at the variable when they are defined, so it must be set from the start."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "yes", "y")


def paged_attention(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    block_tables: torch.Tensor | CsrPages,
    seq_lens: torch.Tensor | None,
    query_start_loc: torch.Tensor,
    *,
    backend: str = "auto",
    **options: Any,
) -> Any:
    """Causal attention of packed queries over a paged cache that already holds their K and V.

    Shapes and options: `torch_attention.paged_attention`; returns [T, Hq, Dv]. Only Triton knows
    `return_lse` and `num_splits`. `backend`: see `choose_backend`. In place of `block_tables` and
    `seq_lens` there may be `CsrPages` and None, which torch pads and Triton reads as they are.
    """
    if isinstance(block_tables, CsrPages):
        if seq_lens is not None:
            raise ValueError(
                "CsrPages know the sequences' lengths: seq_lens must be None with them"
            )
    elif seq_lens is None:
        raise ValueError("seq_lens may be None with CsrPages only, which know the lengths")
    if choose_backend(backend, q.device) == "torch":
        if isinstance(block_tables, CsrPages):
            k_view, _ = by_token(k_cache, v_cache, options.get("layout", "NHD"))
            block_tables, seq_lens = block_tables.padded(k_view.shape[1])
        assert seq_lens is not None
        return torch_attention.paged_attention(
            q, k_cache, v_cache, block_tables, seq_lens, query_start_loc, **options
        )
    from minillm.kernels import triton_attention

    return triton_attention.paged_attention(
        q, k_cache, v_cache, block_tables, seq_lens, query_start_loc, **options
    )


def write_kv(
    key: torch.Tensor,
    value: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    *,
    layout: str = "NHD",
    k_scale: torch.Tensor | None = None,
    v_scale: torch.Tensor | None = None,
    padded: bool = True,
    backend: str = "auto",
) -> None:
    """Store token t of `key` and `value` at slot `slot_mapping[t]`: `kv_write.write_kv`."""
    tensors = (key, value, k_cache, v_cache, slot_mapping)
    options = {"layout": layout, "k_scale": k_scale, "v_scale": v_scale, "padded": padded}
    if choose_backend(backend, key.device) == "torch":
        kv_write.write_kv(*tensors, **options)
        return
    from minillm.kernels import triton_kv_write

    triton_kv_write.write_kv(*tensors, **options)
