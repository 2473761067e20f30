"""The pocket model: a small Llama, so that everything that serves Llama serves it too."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from minillm.pocket.induction import seed_induction
from minillm.pocket.tokenizer import CONTEXT, VOCAB_SIZE

# Above the usual 0.02, so that words start out distinct and early steps do not wash that away.
EMBEDDING_STD = 0.1


def pocket_config() -> LlamaConfig:
    """2.8 M parameters. Head counts divide by two, for tensor parallelism.

    The embeddings are not tied: as outputs all names are alike (any may come next), as inputs
    they must differ, since a name is what a fact is found by. Tied, the input vectors of any two
    names end up at a cosine of about 0.7; untied, at 0.05.
    """
    return LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def new_model(seed: int) -> LlamaForCausalLM:
    """A fresh model in fp32, the same for the same seed; see `induction` for what it can do."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(pocket_config())
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=EMBEDDING_STD)
    seed_induction(model)
    return model
