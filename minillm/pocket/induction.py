"""First weights that can already look something up in the prompt.

Recall needs two layers to agree. One notes at each word what came before it; the next looks for
the place whose note is the word at hand, and copies what stands there (an induction head: Olsson
et al. 2022). Each half is useless without the other, so training takes long to find the pair. Here
both are put in place before training, in the spirit of mimetic initialization (Trockman and Kolter
2023); training then sharpens them and turns "the word before" into "the last name".

Bare pairs (see `pairs`) are 93 % right after 100,000 tokens from these weights; from small random
ones they stay at the level of chance for 400,000.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

_CONSTANT = 0.3  # every embedding's channel 0: what attends by distance alone reads this
_MATCH = 1.0  # size of query and key rows that compare words
_COPY = 0.35  # size of value and output rows; what a head adds is then about as large as a word
_UNEMBED = 0.3  # times the embedding: a copied word raises its own logit from the start
_NOISE = 0.02  # so that two heads made alike can grow apart
_FREQUENCIES = 12  # rotary pairs that tell near distances apart; the slow ones do not
# For each key/value head of the first layer: how sharply it looks, and how far back its two
# query heads do. The sharp one finds the word before, the wide one a name a few words earlier.
_LOOK_BACK = ((1.6, (1, 1)), (0.96, (1, 3)))


def _rows(count: int, width: int) -> Tensor:
    """`count` orthonormal rows: a part of the space that one head reads or writes."""
    return torch.linalg.qr(torch.randn(width, count))[0].T.contiguous()


@torch.no_grad()
def seed_induction(model: LlamaForCausalLM) -> None:
    """Set the attention of the first three layers, drawing from torch's global generator.

    Layer 0 notes earlier words, in directions of their own. Layer 1 seeks the word at hand among
    the notes; layer 2 seeks places that share a note, so that "Tom" in a question can find what
    was said after "Tom".
    """
    config: Any = model.config  # its type allows None for what is set here
    width, size = config.hidden_size, config.head_dim
    per_group = config.num_attention_heads // config.num_key_value_heads
    embedding = model.model.embed_tokens.weight
    embedding[:, 0] = _CONSTANT
    model.lm_head.weight.copy_(_UNEMBED * embedding)
    model.lm_head.weight[:, 0] = 0
    layers: list[Any] = list(model.model.layers[:3])  # their type hides the attention
    notes, seek, share = (layer.self_attn for layer in layers)
    aside = torch.linalg.qr(torch.randn(width, width))[0]  # turns a word into a note of it

    def noise(rows: int) -> Tensor:
        return _NOISE * torch.randn(rows, width)

    for group, (sharpness, distances) in enumerate(_LOOK_BACK):
        keys = slice(group * size, (group + 1) * size)
        word = _rows(size, width)
        word[:, 0] = 0
        note = word @ aside.T
        copied, shared = _rows(size, width), _rows(size, width)

        notes.k_proj.weight[keys] = noise(size)
        notes.k_proj.weight[keys, 0] += _at_distance(config.rope_parameters, size, sharpness, 0)
        notes.v_proj.weight[keys] = _COPY * word
        seek.k_proj.weight[keys] = _MATCH * note + noise(size)
        seek.v_proj.weight[keys] = _COPY * copied
        share.k_proj.weight[keys] = _MATCH * note + noise(size)
        share.v_proj.weight[keys] = _COPY * shared
        for i, distance in enumerate(distances):
            head = (group * per_group + i) * size
            queries = slice(head, head + size)
            look = _at_distance(config.rope_parameters, size, sharpness, distance)
            notes.q_proj.weight[queries] = noise(size)
            notes.q_proj.weight[queries, 0] += look
            notes.o_proj.weight[:, queries] = _COPY * note.T
            seek.q_proj.weight[queries] = _MATCH * word + noise(size)
            seek.o_proj.weight[:, queries] = _COPY * copied.T
            share.q_proj.weight[queries] = _MATCH * note + noise(size)
            share.o_proj.weight[:, queries] = _COPY * shared.T


def _at_distance(rope: dict[str, float], size: int, sharpness: float, distance: int) -> Tensor:
    """A query that fits best the key `distance` tokens back (the key itself is distance 0).

    Rotary positions turn each pair of channels by angle times position, so the query is the key
    turned back by `distance` positions.
    """
    half = size // 2
    angles = rope["rope_theta"] ** (-torch.arange(half) / half)
    row = torch.zeros(size)
    near = slice(0, _FREQUENCIES)
    row[:half][near] = sharpness * torch.cos(-distance * angles[near])
    row[half:][near] = sharpness * torch.sin(-distance * angles[near])
    return row
