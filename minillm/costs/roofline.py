"""The roofline, operator by operator: how much is computed, how much is moved, which of the two
takes longer.

Two ways of counting, for one layer on one device:

* `operators(..., fused=False)` counts as LLM-Viewer does (Yuan et al., "LLM Inference Unveiled",
  2024): all S² scores, written to memory and read back.
* `operators(..., fused=True)` counts what a fused causal kernel does: half the scores, none of
  them in memory. The cost model is built on this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from minillm.costs.hardware import Hardware
from minillm.costs.shapes import ModelShape


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of one layer: arithmetic operations, and bytes to and from memory."""

    name: str
    ops: float
    bytes: float

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return self.ops / self.bytes

    def seconds(self, hardware: Hardware) -> float:
        """At the full peak and the full bandwidth."""
        return max(self.ops / hardware.flops, self.bytes / hardware.bandwidth)

    def bound(self, hardware: Hardware) -> str:
        return "compute" if self.intensity > hardware.ridge else "memory"


def operators(
    shape: ModelShape,
    stage: str,
    *,
    batch: int = 1,
    seq_len: int = 2048,
    dtype_bytes: int = 2,
    fused: bool = False,
) -> list[Operator]:
    """The operators of one layer. `stage` is "prefill" (`seq_len` new tokens per sequence) or
    "decode" (one new token over a cache of `seq_len`), for `batch` sequences alike."""
    if stage not in ("prefill", "decode"):
        raise ValueError(f"stage must be 'prefill' or 'decode', got {stage!r}")
    new = seq_len if stage == "prefill" else 1
    tokens = batch * new
    if fused:
        attention = [_fused_attention(shape, batch, new, seq_len, dtype_bytes)]
        others = elementwise(shape, tokens, dtype_bytes)
    else:
        attention = _materialised_attention(shape, batch, new, seq_len, dtype_bytes)
        others = _elementwise_of_llm_viewer(shape, tokens, dtype_bytes)
    return [*linears(shape, tokens, dtype_bytes), *attention, *others]


def linears(shape: ModelShape, tokens: int, dtype_bytes: int = 2) -> list[Operator]:
    """The matrix products with weights of one layer, for `tokens` tokens of any sequences."""
    hidden, inter = shape.hidden_size, shape.intermediate_size
    queries, keys = shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
    table = [
        _linear(name, tokens, n_in, n_out, dtype_bytes)
        for name, n_in, n_out in (
            ("q_proj", hidden, queries),
            ("k_proj", hidden, keys),
            ("v_proj", hidden, keys),
            ("out_proj", queries, hidden),
        )
    ]
    routed, experts = tokens * shape.experts_per_token, experts_read(shape, tokens)
    names = ("gate_proj", "up_proj", "down_proj") if shape.gated_mlp else ("fc1", "fc2")
    last = names[-1]
    for name in names:
        n_in, n_out = (inter, hidden) if name == last else (hidden, inter)
        table.append(_linear(name, routed, n_in, n_out, dtype_bytes, copies=experts))
    return table


def _linear(
    name: str, tokens: float, n_in: int, n_out: int, dtype_bytes: int, copies: float = 1.0
) -> Operator:
    moved = copies * n_in * n_out + tokens * (n_in + n_out)
    return Operator(name, 2 * tokens * n_in * n_out, moved * dtype_bytes)


def experts_read(shape: ModelShape, tokens: int) -> float:
    """How many experts' weights `tokens` tokens are expected to need, if each chooses evenly."""
    if shape.num_experts == 1:
        return 1.0
    missed = (1 - shape.experts_per_token / shape.num_experts) ** tokens
    return shape.num_experts * (1 - missed)


def elementwise(shape: ModelShape, tokens: int, dtype_bytes: int = 2) -> list[Operator]:
    """What is neither a matrix product nor attention in one layer; all of it memory-bound."""
    hidden, inter = shape.hidden_size, shape.intermediate_size * shape.experts_per_token
    heads = (shape.num_heads + shape.num_kv_heads) * shape.head_dim
    rows = [
        ("attn_norm", 7 * hidden, 2 * hidden),
        ("rope", 3 * heads, 2 * heads),
        ("attn_add", hidden, 3 * hidden),
        ("mlp_norm", 7 * hidden, 2 * hidden),
        ("mlp_act", 2 * inter, (3 if shape.gated_mlp else 2) * inter),
        ("mlp_add", hidden, 3 * hidden),
    ]
    return [Operator(name, tokens * ops, tokens * moved * dtype_bytes) for name, ops, moved in rows]


def _elementwise_of_llm_viewer(shape: ModelShape, tokens: int, dtype_bytes: int) -> list[Operator]:
    """All over the hidden size: 7 operations per element for a norm, 1 for an addition (of whose
    two operands one is read), 2 for the activation; no rotation of q and k."""
    elements = tokens * shape.hidden_size
    rows = [
        ("attn_norm", 7, 2),
        ("mlp_norm", 7, 2),
        ("attn_add", 1, 2),
        ("mlp_add", 1, 2),
        ("mlp_act", 2, 3),
    ]
    return [Operator(name, ops * elements, n * elements * dtype_bytes) for name, ops, n in rows]


def _materialised_attention(
    shape: ModelShape, batch: int, new: int, seq_len: int, dtype_bytes: int
) -> list[Operator]:
    queries = batch * new * shape.num_heads * shape.head_dim
    keys = batch * seq_len * shape.num_kv_heads * shape.head_dim
    scores = batch * new * seq_len * shape.num_heads
    product = 2 * scores * shape.head_dim
    moved = (queries + keys + scores) * dtype_bytes
    return [
        Operator("qk_matmul", product, moved),
        Operator("sv_matmul", product, moved),
        Operator("softmax", 5 * scores, 2 * scores * dtype_bytes),
    ]


def _fused_attention(
    shape: ModelShape, batch: int, new: int, seq_len: int, dtype_bytes: int
) -> Operator:
    pairs = batch * (seq_len if new == 1 else new * (new + 1) / 2)
    queries = batch * new * shape.num_heads * shape.head_dim
    keys = batch * seq_len * shape.num_kv_heads * shape.head_dim
    return _attention(shape, pairs, queries, keys, dtype_bytes)


def _attention(
    shape: ModelShape, pairs: float, queries: int, keys: int, dtype_bytes: int
) -> Operator:
    """Fused, in one layer; `queries` and `keys` are elements."""
    ops = pairs * shape.num_heads * (4 * shape.head_dim + 5)
    return Operator("fused_attention", ops, 2 * (queries + keys) * dtype_bytes)


def forward_pass(
    shape: ModelShape,
    tokens: int,
    pairs: float,
    context: int,
    sequences: int,
    dtype_bytes: int = 2,
) -> Operator:
    """A whole step as one operator: all layers, fused and causal, and the logits. Its `sequences`
    compute `tokens` new tokens, hold `context` tokens afterwards, and `pairs` is how many (new
    token, token it sees) there are, as `pairs_of` counts them."""
    queries = tokens * shape.num_heads * shape.head_dim
    keys = context * shape.num_kv_heads * shape.head_dim
    layer = [
        *linears(shape, tokens, dtype_bytes),
        *elementwise(shape, tokens, dtype_bytes),
        _attention(shape, pairs, queries, keys, dtype_bytes),
    ]
    head = lm_head(shape, sequences, dtype_bytes)
    return Operator(
        "forward",
        shape.num_layers * sum(each.ops for each in layer) + head.ops,
        shape.num_layers * sum(each.bytes for each in layer) + head.bytes,
    )


def pairs_of(new: int, computed: int) -> float:
    """Of one sequence: each of its `new` tokens sees the `computed` ones, those before, itself."""
    return new * (computed + (new + 1) / 2)


def lm_head(shape: ModelShape, batch: int, dtype_bytes: int = 2) -> Operator:
    """The logits of `batch` tokens: once per forward pass, outside the layers."""
    return _linear("lm_head", batch, shape.hidden_size, shape.vocab_size, dtype_bytes)
