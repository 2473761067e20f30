"""The pocket model: a small Llama, so that everything that serves Llama serves it too."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from minillm.pocket.tokenizer import CONTEXT, VOCAB_SIZE


def pocket_config() -> LlamaConfig:
    """2.6 M parameters. Head counts divide by two and four, for tensor parallelism."""
    return LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        attn_implementation="sdpa",
    )


def new_model(seed: int) -> LlamaForCausalLM:
    """A fresh model in fp32, the same for the same seed."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(pocket_config())
