"""What the kernel benchmark computes: batches by name, and who computes each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch

from minillm.kernels.layouts import LAYOUTS
from minillm.kernels.synthetic import Batch, Heads, make_batch

LLAMA = Heads(num_heads=32, num_kv_heads=8, head_dim=128)
MHA = Heads(num_heads=32, num_kv_heads=32, head_dim=128)
MQA = Heads(num_heads=32, num_kv_heads=1, head_dim=128)
QWEN = Heads(num_heads=16, num_kv_heads=8, head_dim=128)  # Qwen3-0.6B
SMALL = Heads(num_heads=8, num_kv_heads=4, head_dim=64)
K = 1024

Limit = Literal["memory", "compute", "both"]


@dataclass(frozen=True, slots=True)
class Case:
    """One batch. `lengths`: (new tokens, all tokens) of each sequence; all tokens are multiples of
    the block size, and equal where `uniform`."""

    name: str
    heads: Heads
    lengths: tuple[tuple[int, int], ...]
    contenders: tuple[str, ...]  # names in `contenders.CONTENDERS`; minillm's own comes first
    dtype: torch.dtype = torch.bfloat16
    block_size: int = 16

    def batch(self, device: torch.device) -> Batch:
        return make_batch(
            self.lengths, self.heads, block_size=self.block_size, dtype=self.dtype, device=device
        )

    @property
    def num_tokens(self) -> int:
        return sum(new for new, _ in self.lengths)

    @property
    def is_write(self) -> bool:
        return all(contender.startswith("write") for contender in self.contenders)

    def kv_bytes(self, dtype: torch.dtype) -> int:
        """Keys and values that must be read from caches of `dtype`; for a write, read and
        written."""
        per_token = 2 * self.heads.num_kv_heads * self.heads.head_dim * dtype.itemsize
        if self.is_write:
            return 2 * per_token * self.num_tokens
        return per_token * sum(total for _, total in self.lengths)

    @property
    def flops(self) -> int:
        """Multiplications and additions of q·k and p·v over what is visible; 0 for a write."""
        if self.is_write:
            return 0
        seen = sum(new * total - new * (new - 1) // 2 for new, total in self.lengths)
        return 4 * self.heads.num_heads * self.heads.head_dim * seen

    @property
    def limit(self) -> Limit:
        """What bounds it on any accelerator: decodes read, prefills compute."""
        if all(new == 1 for new, _ in self.lengths) or self.is_write:
            return "memory"
        return "compute" if all(new > 1 for new, _ in self.lengths) else "both"


def _uniform(
    kind: Literal["decode", "prefill"],
    count: int,
    tokens: int,
    heads: Heads,
    contenders: tuple[str, ...],
    *,
    note: str = "",
    dtype: torch.dtype = torch.bfloat16,
    block_size: int = 16,
) -> Case:
    """`count` sequences of `tokens`: one of them new, or all."""
    lengths = ((1 if kind == "decode" else tokens, tokens),) * count
    name = f"{kind} {count} × {_tokens(tokens)}{f', {note}' if note else ''}"
    return Case(name, heads, lengths, contenders, dtype, block_size)


decode, prefill = partial(_uniform, "decode"), partial(_uniform, "prefill")


def _tokens(n: int) -> str:
    return f"{n // K}k" if n % K == 0 else str(n)


_DENSE = ("torch SDPA", "gather + SDPA")
_ALL = ("minillm", *_DENSE, "FlashInfer", "minillm torch", "simple_attention")
_FLEX = ("minillm", "FlexAttention")
_PREFILL = (
    *("minillm", *_DENSE, "SDPA FlashAttention", "SDPA cuDNN", "FlashInfer", "minillm torch"),
)
_WRITES = (*(f"write_kv {each}" for each in LAYOUTS), "write_kv torch")

GPU_CASES = (
    decode(64, 4 * K, LLAMA, _ALL),
    decode(1, 64 * K, LLAMA, _ALL),
    prefill(8, 4 * K, LLAMA, _PREFILL),
    decode(64, 4 * K, LLAMA, _FLEX, note="blocks of 128", block_size=128),
    decode(1, 64 * K, LLAMA, _FLEX, note="blocks of 128", block_size=128),
    prefill(8, 4 * K, LLAMA, _FLEX, note="blocks of 128", block_size=128),
    decode(8, 16 * K, LLAMA, ("minillm", *_DENSE)),
    decode(64, 4 * K, LLAMA, ("minillm", "simple_attention"), note="blocks of 1", block_size=1),
    decode(64, 4 * K, LLAMA, ("minillm",), note="blocks of 64", block_size=64),
    decode(64, 4 * K, LLAMA, tuple(f"minillm {each}" for each in LAYOUTS), note="layouts"),
    decode(64, 4 * K, LLAMA, ("minillm", "minillm FP8"), note="FP8 KV cache"),
    decode(64, 4 * K, LLAMA, ("minillm", "minillm CSR"), note="page tables"),
    decode(16, 4 * K, MHA, ("minillm", *_DENSE), note="MHA"),
    decode(256, 4 * K, MQA, ("minillm", *_DENSE), note="MQA"),
    decode(64, 4 * K, QWEN, ("minillm", *_DENSE), note="Qwen3-0.6B"),
    Case(
        "mixed: 60 decodes, chunks of 512 and 1536",
        LLAMA,
        (*((1, 4 * K),) * 60, (512, 8 * K), (1536, 1536)),
        ("minillm", "minillm, decodes apart", "minillm torch"),
    ),
    Case("write 8k tokens", LLAMA, ((8 * K, 8 * K),), _WRITES),
)

_CPU = ("minillm torch", *_DENSE)
_ONE = ("minillm torch",)
_FP8 = ("minillm torch", "minillm torch FP8")
_CPU_LAYOUTS = tuple(f"minillm torch {each}" for each in LAYOUTS)
CPU_CASES = (
    decode(8, 4 * K, SMALL, _CPU, dtype=torch.float32),
    decode(1, 32 * K, SMALL, _CPU, dtype=torch.float32),
    decode(8, 4 * K, SMALL, _ONE, note="blocks of 1", dtype=torch.float32, block_size=1),
    decode(8, 4 * K, SMALL, _ONE, note="blocks of 128", dtype=torch.float32, block_size=128),
    decode(8, 4 * K, SMALL, _CPU_LAYOUTS, note="layouts", dtype=torch.float32),
    decode(8, 4 * K, SMALL, _FP8, note="FP8 KV cache", dtype=torch.float32),
    prefill(2, 512, SMALL, _CPU, dtype=torch.float32),
    Case(
        "mixed: 6 decodes, chunks of 64 and 192",
        SMALL,
        (*((1, 4 * K),) * 6, (64, K), (192, 192)),
        _ONE,
        torch.float32,
    ),
    Case("write 1k tokens", SMALL, ((K, K),), ("write_kv torch",), torch.float32),
)
