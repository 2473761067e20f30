"""The operator tables."""

from __future__ import annotations

import pytest

from minillm.costs import get_hardware, get_model
from minillm.costs.roofline import forward_pass, lm_head, operators, pairs_of

PUBLISHED = {
    "prefill": {
        "q_proj": ("68.7G", "67.1M", "1024"),
        "k_proj": ("68.7G", "67.1M", "1024"),
        "v_proj": ("68.7G", "67.1M", "1024"),
        "out_proj": ("68.7G", "67.1M", "1024"),
        "gate_proj": ("185G", "152M", "1215"),
        "up_proj": ("185G", "152M", "1215"),
        "down_proj": ("185G", "152M", "1215"),
        "qk_matmul": ("34.4G", "302M", "113.8"),
        "sv_matmul": ("34.4G", "302M", "113.8"),
        "softmax": ("671M", "537M", "1.25"),
        "attn_norm": ("58.7M", "33.6M", "1.75"),
        "attn_add": ("8.4M", "33.6M", "0.25"),
    },
    "decode": {
        "q_proj": ("33.6M", "33.6M", "1.00"),
        "k_proj": ("33.6M", "33.6M", "1.00"),
        "v_proj": ("33.6M", "33.6M", "1.00"),
        "out_proj": ("33.6M", "33.6M", "1.00"),
        "gate_proj": ("90.2M", "90.2M", "1.00"),
        "up_proj": ("90.2M", "90.2M", "1.00"),
        "down_proj": ("90.2M", "90.2M", "1.00"),
        "qk_matmul": ("16.8M", "16.9M", "0.99"),
        "sv_matmul": ("16.8M", "16.9M", "0.99"),
    },
}


def as_printed(value: float, published: str) -> str:
    """`value` in the unit of `published` and with as many decimals."""
    unit = published[-1] if published[-1] in "GM" else ""
    number = published.removesuffix(unit)
    decimals = len(number.partition(".")[2])
    return f"{value / {'G': 1e9, 'M': 1e6, '': 1}[unit]:.{decimals}f}{unit}"


@pytest.mark.parametrize("stage", ["prefill", "decode"])
def test_operators_of_llama_2_7b(stage: str) -> None:
    """LLM-Viewer ("LLM Inference Unveiled", 2024), table of Llama-2-7B on A6000: batch 1, 2048
    tokens, fp16."""
    table = {o.name: o for o in operators(get_model("llama-2-7b"), stage, seq_len=2048)}
    for name, row in PUBLISHED[stage].items():
        operator = table[name]
        values = (operator.ops, operator.bytes, operator.intensity)
        assert tuple(map(as_printed, values, row)) == row, name


def test_what_bounds_which_operator() -> None:
    """LLM-Viewer, the same table: prefill products are compute-bound, all decode is not."""
    a6000 = get_hardware("a6000")
    bounds = {
        stage: {o.name: o.bound(a6000) for o in operators(get_model("llama-2-7b"), stage)}
        for stage in ("prefill", "decode")
    }
    assert set(bounds["decode"].values()) == {"memory"}
    computed = {name for name, bound in bounds["prefill"].items() if bound == "compute"}
    assert computed == {name for name in bounds["prefill"] if name.endswith("_proj")}


def test_fused_attention_counts_half_the_scores_and_stores_none() -> None:
    shape = get_model("llama-2-7b")
    full = {o.name: o for o in operators(shape, "prefill", seq_len=2048)}
    fused = {o.name: o for o in operators(shape, "prefill", seq_len=2048, fused=True)}
    scores = full["qk_matmul"].ops + full["sv_matmul"].ops + full["softmax"].ops
    assert fused["fused_attention"].ops == pytest.approx(scores * 2049 / 4096)
    assert fused["fused_attention"].bytes == 4 * 2048 * 4096 * 2  # q, k, v in, out
    assert fused["fused_attention"].bound(get_hardware("a6000")) == "compute"
    assert fused["q_proj"] == full["q_proj"]


def test_grouped_queries_read_fewer_keys() -> None:
    mistral, llama = get_model("mistral-7b"), get_model("llama-2-7b")
    few, many = (
        next(o for o in operators(m, "decode", fused=True) if o.name == "fused_attention")
        for m in (mistral, llama)
    )
    assert few.ops == many.ops
    assert few.bytes / many.bytes == pytest.approx(1 / 4, rel=1e-2)


def test_a_mixture_reads_the_experts_it_needs() -> None:
    shape = get_model("mixtral-8x7b")
    weights = shape.hidden_size * shape.intermediate_size * 2

    def read(tokens: int) -> float:
        table = operators(shape, "decode", batch=tokens)
        return next(o.bytes for o in table if o.name == "gate_proj") / weights

    assert read(1) == pytest.approx(2, rel=1e-2)
    assert read(64) == pytest.approx(8, rel=1e-1)


def test_stages_have_names() -> None:
    with pytest.raises(ValueError, match="'prefill' or 'decode'"):
        operators(get_model("llama-2-7b"), "both")


def test_a_whole_step_is_its_operators_times_the_layers_and_the_logits() -> None:
    shape = get_model("llama-2-7b")
    for stage, batch, new, computed in (("prefill", 1, 500, 0), ("decode", 8, 1, 499)):
        rows = operators(shape, stage, batch=batch, seq_len=500, fused=True)
        head = lm_head(shape, batch)
        step = forward_pass(shape, batch * new, batch * pairs_of(new, computed), batch * 500, batch)
        assert step.ops == pytest.approx(32 * sum(row.ops for row in rows) + head.ops)
        assert step.bytes == pytest.approx(32 * sum(row.bytes for row in rows) + head.bytes)
