"""Before any training, a word seen before makes the model look at what followed it."""

from __future__ import annotations

import torch

from minillm.pocket.architecture import new_model


def test_an_untrained_model_looks_at_what_followed_the_same_word() -> None:
    model = new_model(0).eval()
    model.set_attn_implementation("eager")
    generator = torch.Generator().manual_seed(0)
    words = torch.stack([100 + torch.randperm(1000, generator=generator)[:12] for _ in range(50)])
    asked = 6
    with torch.no_grad():
        output = model(input_ids=torch.cat([words, words[:, [asked]]], 1), output_attentions=True)
    notes, seek = (layer.mean(0) for layer in output.attentions[:2])
    assert notes[:2, 5].argmax(-1).tolist() == [4, 4]  # the two sharp heads: the word before
    sharp = seek[:2, -1].mean(0)
    assert sharp.argmax() == asked + 1
    assert sharp[asked + 1] > 0.25


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = (new_model(seed).state_dict() for seed in (1, 1, 2))
    name = "model.layers.1.self_attn.q_proj.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])
