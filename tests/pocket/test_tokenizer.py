"""Any text round-trips; the chat template is what training used."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError
from transformers import AutoTokenizer

from minillm.pocket import pocket_path
from minillm.pocket.corpus import FULL_MIX, chat_tokens, chats
from minillm.pocket.tokenizer import CONTEXT, VOCAB_SIZE, ChatEncoder, train_tokenizer
from minillm.pocket.words import COLOURS, FOODS, HEROES, JOBS, NAMES, OBJECTS, PLACES, TASTES

_TOKENIZER = AutoTokenizer.from_pretrained(pocket_path())


@settings(max_examples=200, deadline=None)
@given(st.text())
@example("你好，世界。狐狸和灯笼的故事")
@example("👩‍👩‍👧 🦊\u202eright to left\x00\x07 <script>alert(1)</script>")
@example("  two  spaces \n\t and , odd ' punctuation ' s ")
def test_any_text_round_trips(text: str) -> None:
    ids = _TOKENIZER.encode(text, add_special_tokens=False)
    assert _TOKENIZER.decode(ids) == text


def test_every_word_is_one_token() -> None:
    for word in NAMES + COLOURS + OBJECTS + HEROES + PLACES + FOODS + TASTES + JOBS:
        assert len(_TOKENIZER.encode(f" {word}", add_special_tokens=False)) == 1, word


def test_sizes_and_special_tokens() -> None:
    assert len(_TOKENIZER) == VOCAB_SIZE
    assert _TOKENIZER.model_max_length == CONTEXT
    assert _TOKENIZER.eos_token == "<|end|>"
    assert _TOKENIZER.encode("Hi") == _TOKENIZER.encode("Hi", add_special_tokens=False)


def test_chat_template_renders() -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": " Hello! "},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "What is 1 + 1?"},
    ]
    text = _TOKENIZER.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|bos|><|system|> Be kind.<|end|><|user|> Hello!<|end|><|assistant|>Hi.<|end|>"
        "<|user|> What is 1 + 1?<|end|><|assistant|>"
    )


def test_unknown_role_is_refused() -> None:
    with pytest.raises(TemplateError, match="system, user and assistant"):
        _TOKENIZER.apply_chat_template([{"role": "tool", "content": "x"}], tokenize=False)


def test_training_sees_exactly_the_chat_template() -> None:
    encoder = ChatEncoder(_TOKENIZER)
    for chat in islice(chats("template", FULL_MIX), 200):
        ids, answer = encoder.encode(chat)
        assert len(ids) == len(answer)
        if not chat.raw:
            assert ids == _TOKENIZER.apply_chat_template(list(chat.messages), return_dict=False)
        said = _TOKENIZER.decode([i for i, mark in zip(ids, answer, strict=True) if mark])
        spoken = [m["content"] for m in chat.messages if m["role"] == "assistant"]
        assert said == "".join(f"{text}<|end|>" for text in spoken)


def test_token_estimate_is_close() -> None:
    encoder = ChatEncoder(_TOKENIZER)
    sample = list(islice(chats("estimate", FULL_MIX), 300))
    true = sum(len(encoder.encode(chat)[0]) for chat in sample)
    assert sum(map(chat_tokens, sample)) == pytest.approx(true, rel=0.05)


def test_the_bundled_tokenizer_is_the_one_training_makes() -> None:
    assert train_tokenizer().get_vocab() == _TOKENIZER.get_vocab()
