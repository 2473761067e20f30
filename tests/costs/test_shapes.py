"""Shapes of published models, and shapes read from configurations."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from minillm import ConfigError
from minillm.costs import MODELS, get_model


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("opt-13b", 819_200),
        ("llama-2-7b", 524_288),
        ("llama-2-70b", 327_680),
        ("opt-66b", 2_359_296),
        ("opt-175b", 4_718_592),
    ],
)
def test_kv_bytes_per_token(model: str, expected: int) -> None:
    """vLLM, SOSP'23, section 3 (800 KB for OPT-13B), and the same sum for the others."""
    assert get_model(model).kv_bytes_per_token() == expected


@pytest.mark.parametrize(
    ("model", "memory_gib", "published"),
    [("opt-13b", 12, 15_700), ("opt-66b", 21, 9_700), ("opt-175b", 264, 60_100)],
)
def test_kv_slots(model: str, memory_gib: int, published: int) -> None:
    """vLLM, SOSP'23, Table 1: "max. # KV cache slots"."""
    assert get_model(model).kv_slots(memory_gib << 30) == pytest.approx(published, rel=0.02)


def test_kv_of_512_tokens() -> None:
    """DistServe, OSDI'24, section 3.3: 1.13 GB for 512 tokens of OPT-66B."""
    transferred = 512 * get_model("opt-66b").kv_bytes_per_token()
    assert transferred == 1.125 * (1 << 30)
    assert transferred * 10 * 8 == 90 * (1 << 30)
    assert transferred * 10 * 8 / 1e9 == pytest.approx(96.6, abs=0.05)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-13b", 13_015_864_320),
        ("llama-2-70b", 68_976_648_192),
        ("mistral-7b", 7_241_732_096),
        ("mixtral-8x7b", 46_702_792_704),
        ("opt-13b", 12_853_473_280),
        ("qwen3-0.6b", 596_049_920),
    ],
)
def test_parameters_are_those_of_the_checkpoint(model: str, parameters: int) -> None:
    shape = get_model(model)
    assert shape.num_parameters == parameters
    assert shape.weight_bytes() == 2 * parameters


def test_a_configuration_gives_the_shape_of_the_published_model(tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 8192,
        "intermediate_size": 28_672,
        "num_attention_heads": 64,
        "num_hidden_layers": 80,
        "num_key_value_heads": 8,
        "vocab_size": 32_000,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    for shape in (get_model(config), get_model(str(tmp_path))):
        known = MODELS["llama-2-70b"]
        assert shape.kv_bytes_per_token() == known.kv_bytes_per_token()
        assert shape.num_parameters == pytest.approx(known.num_parameters, rel=1e-3)
        assert shape.max_model_len == 4096


def test_mixture_and_window_are_read() -> None:
    mixtral = {
        "model_type": "mixtral",
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "sliding_window": 4096,
        "vocab_size": 32_000,
        "tie_word_embeddings": False,
    }
    shape = get_model(mixtral)
    assert shape.num_parameters == pytest.approx(46.7e9, rel=1e-3)
    assert shape.sliding_window == 4096
    assert get_model({**mixtral, "use_sliding_window": False}).sliding_window is None
    mixed = {**mixtral, "layer_types": ["sliding_attention", "full_attention"]}
    assert get_model(mixed).sliding_window is None


def test_the_pocket_model_is_read_without_transformers() -> None:
    program = (
        "import sys; from minillm.costs import get_model; print(get_model('pocket').num_layers);"
        "print(sorted({'torch', 'transformers', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == [str(get_model("pocket").num_layers), "[]"], done.stderr


def test_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'llama-2-7b'"):
        get_model("llama-2-7")
    with pytest.raises(ConfigError, match="says nothing of 'num_hidden_layers'"):
        get_model({"hidden_size": 8, "num_attention_heads": 2, "vocab_size": 4})
    with pytest.raises(ConfigError, match="32 attention heads, which tensor_parallel 3"):
        get_model("llama-2-7b").shard(3)


def test_a_shard_is_a_share() -> None:
    shape = get_model("llama-2-70b")
    shard = shape.shard(8)
    assert 8 * shard.attention_parameters == shape.attention_parameters
    assert 8 * shard.mlp_parameters == shape.mlp_parameters
    assert shape.shard(16).num_kv_heads == 1  # eight heads on sixteen devices: each held twice
