"""The bundled model loads, is small, answers, and ends by itself."""

from __future__ import annotations

import json
import random
import re

import pytest
import torch
from safetensors import safe_open
from transformers import LlamaForCausalLM
from transformers import PreTrainedTokenizerFast as Tokenizer

from minillm.pocket import pocket_path, prompts
from minillm.pocket.card import model_card
from minillm.pocket.evaluate import answer
from minillm.pocket.recall import recall_cases, share_exact
from minillm.pocket.stories import LENGTHS
from minillm.pocket.tokenizer import CONTEXT, ChatEncoder


def test_the_folder_is_complete_and_small() -> None:
    names = {path.name for path in pocket_path().iterdir()}
    assert names >= {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    assert sum(path.stat().st_size for path in pocket_path().iterdir()) <= 8e6
    generation = json.loads((pocket_path() / "generation_config.json").read_text())
    assert generation["eos_token_id"] == 2


def test_the_card_states_the_measured_figures() -> None:
    folder = pocket_path().parent
    figures = json.loads((folder / "evaluation.json").read_text())
    assert (folder / "MODEL_CARD.md").read_text() == model_card(figures)


def test_weights_are_fp16_in_the_file() -> None:
    with safe_open(pocket_path() / "model.safetensors", "pt") as weights:
        kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118
    assert kinds == {"F16"}


def test_it_loads_as_a_llama_in_fp32(model: LlamaForCausalLM) -> None:
    assert isinstance(model, LlamaForCausalLM)
    assert model.dtype == torch.float32
    assert 1e6 <= model.num_parameters() <= 4e6
    assert model.config.max_position_embeddings == CONTEXT


def test_recall_of_held_out_facts(model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    encoder = ChatEncoder(tokenizer)
    assert share_exact(model, encoder, recall_cases("test", 60, 4, 240)) >= 0.95


def test_recall_by_name_alone(model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    encoder = ChatEncoder(tokenizer)
    cases = recall_cases("test", 100, 4, 0, same_relation=True)
    assert share_exact(model, encoder, cases) >= 0.9


@pytest.mark.parametrize("facts", [4, 16])
def test_recall_in_a_long_prompt(facts: int, model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    encoder = ChatEncoder(tokenizer)
    assert share_exact(model, encoder, recall_cases("test", 16, facts, 1500)) >= 0.7


@pytest.mark.parametrize("length", LENGTHS)
def test_stories_end_by_themselves(
    length: prompts.Length, model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    request = prompts.story_request(random.Random(0), length)
    text, tokens, ended = answer(model, tokenizer, request.messages)
    assert ended
    low, high = {"short": (15, 60), "medium": (60, 150), "long": (170, 450)}[length]
    assert low <= tokens <= high
    assert re.fullmatch(r"[A-Z][A-Za-z ,.!?\"':;-]+[.\"]", text)


def test_decoding_agrees_with_the_shown_answer(
    model: LlamaForCausalLM, tokenizer: Tokenizer
) -> None:
    encoder = ChatEncoder(tokenizer)
    for case in recall_cases("decode", 10, 4, 100):
        text, _, ended = answer(model, tokenizer, case.messages[:-1], max_tokens=32)
        right = ended and text == case.messages[-1]["content"]
        assert right == (share_exact(model, encoder, [case]) == 1.0)


def test_sums(model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
    for question, right in (("What is 2 + 3?", "2 + 3 = 5."), ("What is 9 - 4?", "9 - 4 = 5.")):
        text, _, _ = answer(model, tokenizer, [{"role": "user", "content": question}])
        assert text == right
