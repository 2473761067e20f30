"""Tiny random models of many families, as folders on disk: tests load them as a user would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

VOCAB = 128
COMMON: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
ALTERNATING = ["sliding_attention", "full_attention"]
ROUTED = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
LATENT = {  # multi-head latent attention: keys and values differ in size
    **ROUTED,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "num_key_value_heads": 4,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 7},
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": MOE,
    "phi": {"num_key_value_heads": 4},
    "phi3": {"sliding_window": 9},
    "gemma": {},
    "gemma2": {"sliding_window": 6, "layer_types": ALTERNATING, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 5, "layer_types": ALTERNATING, "query_pre_attn_scalar": 8},
    "gpt_oss": {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 6,
        "layer_types": ALTERNATING,
    },
    "olmo2": {},
    "olmo3": {"sliding_window": 6, "layer_types": ALTERNATING},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "smollm3": {"no_rope_layers": [1, 0]},
    "granite": {},
    "glm4": {},
    "cohere": {},
    "cohere2": {"sliding_window": 6, "layer_types": ALTERNATING},
    "starcoder2": {"sliding_window": 8},
    "gpt2": {"n_inner": 64},
    "gpt_neox": {"num_key_value_heads": 4},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "gpt_bigcode": {"n_inner": 48, "num_key_value_heads": 1},
    "exaone4": {"sliding_window": 6, "layer_types": ALTERNATING},
    "glm4_moe": {**ROUTED, "n_shared_experts": 1},
    "deepseek_v2": {**LATENT, "q_lora_rank": None},
    "deepseek_v3": {**LATENT, "q_lora_rank": 16, "head_dim": ...},
    "gemma3n_text": {
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "sliding_window": 6,
        "layer_types": ALTERNATING * 2,
        "hidden_size_per_layer_input": 4,
        "vocab_size_per_layer_input": VOCAB,
        "laurel_rank": 4,
        "altup_num_inputs": 2,
        "intermediate_size": 48,
        "activation_sparsity_pattern": [0.0] * 4,
    },
    "gemma4_text": {
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "sliding_window": 6,
        "layer_types": ALTERNATING * 2,
        "global_head_dim": 16,
        "hidden_size_per_layer_input": 4,
        "vocab_size_per_layer_input": VOCAB,
    },
}
REFUSED: dict[str, dict[str, Any]] = {
    "bloom": {},
    "falcon": {"head_dim": ...},  # ...: a setting the family does not have
    "stablelm": {},
    "mamba": {},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"], **MOE},
}


def tiny_config(family: str, **changes: Any) -> Any:
    """The family's config, a few thousand parameters in size."""
    own = FAMILIES.get(family) or REFUSED.get(family, {})
    settings = {**COMMON, **own, **changes}
    return AutoConfig.for_model(family, **{k: v for k, v in settings.items() if v is not ...})


def tiny_model_folder(family: str, tmp: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Write a random fp32 model of `family` below `tmp`, without a tokenizer; returns its folder.

    Weights are larger than usual, so that attention matters and greedy ties are rare.
    """
    torch.manual_seed(seed)
    config = tiny_config(family, **changes)
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.float32, attn_implementation="eager"
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 1:
                parameter.add_(torch.randn_like(parameter) * 0.15)
    folder = tmp / family
    model.save_pretrained(folder)
    return folder
