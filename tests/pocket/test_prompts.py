"""Prompts are seeded, of the length asked for, and light to import."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from transformers import PreTrainedTokenizerFast as Tokenizer

from minillm.pocket import prompts


def _rendered_tokens(tokenizer: Tokenizer, prompt: prompts.Prompt) -> int:
    ids = tokenizer.apply_chat_template(
        prompt.messages, add_generation_prompt=True, return_dict=False
    )
    return len(ids)


@pytest.mark.parametrize("tokens", [120, 500, 1000, 1800])
def test_length_is_about_right(tokens: int, tokenizer: Tokenizer) -> None:
    rng = random.Random(tokens)
    made = [
        prompts.fact_question(rng, 8, tokens),
        prompts.long_document_question(rng, tokens),
        prompts.system_prompt(rng, tokens).question(rng),
    ]
    for prompt in made:
        true = _rendered_tokens(tokenizer, prompt)
        assert abs(true - tokens) <= max(30, 0.06 * tokens)
        assert abs(true - prompt.approx_tokens) <= max(8, 0.03 * tokens)


def test_the_answer_can_be_found_in_the_prompt() -> None:
    rng = random.Random(1)
    for _ in range(50):
        prompt = prompts.fact_question(rng, 6)
        assert prompt.answer is not None
        assert prompt.answer.split()[-1].rstrip(".") in prompt.messages[0]["content"]


def test_system_prompt_is_shared() -> None:
    rng = random.Random(2)
    shared = prompts.system_prompt(rng, 300)
    asked = [shared.question(rng) for _ in range(10)]
    assert {prompt.messages[0]["content"] for prompt in asked} == {shared.content}
    assert len({prompt.messages[1]["content"] for prompt in asked}) > 3


def test_same_seed_same_prompts() -> None:
    def make(seed: int) -> list[prompts.Prompt]:
        rng = random.Random(seed)
        return [
            prompts.story_request(rng, "long"),
            prompts.fact_question(rng, 12, 300),
            prompts.arithmetic_question(rng),
            prompts.counting_question(rng),
        ]

    assert make(3) == make(3)
    assert make(3) != make(4)


def test_importing_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, minillm.pocket, minillm.pocket.prompts;"
        "print([m for m in ('torch', 'transformers', 'tokenizers') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
