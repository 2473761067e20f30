"""Models of a published shape with random weights: speed does not depend on what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    # 31.6 million parameters, of which the layers hold 23.2
    "llama-31m": {
        "model_type": "llama",
        "vocab_size": 8192,
        "hidden_size": 512,
        "intermediate_size": 1376,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
    },
    "qwen3-0.6b": {
        "model_type": "qwen3",
        "vocab_size": 151_936,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 4096,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": True,
    },
}


def save_random_model(shape: str, folder: Path, dtype: str) -> None:
    """Write the model named `shape` in `SHAPES` to `folder`, as `save_pretrained` does: weights in
    `dtype` drawn from seed 0, no tokenizer, no end-of-sequence token."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    nothing: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    settings = SHAPES[shape] | nothing
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
