"""Refusals: English as errors, the reader's language on a page."""

from __future__ import annotations

import pickle

import pytest

from minillm import EngineConfig
from minillm.config import ConfigError
from minillm.costs import cost_model
from minillm.messages.refusal import Refusal


def test_a_refusal_is_english_and_told_in_any_language() -> None:
    with pytest.raises(ConfigError) as raised:
        EngineConfig(max_num_seqs=300, max_num_batched_tokens=200).resolve(
            model_max_len=1000, chunked=True
        )
    assert "max_num_seqs 300 is above max_num_batched_tokens 200" in str(raised.value)
    assert raised.value.told("en") == str(raised.value)
    assert "max_num_seqs 300 超过了 max_num_batched_tokens 200" in raised.value.told("zh")


def test_what_the_roofline_page_refuses_is_told_too() -> None:
    with pytest.raises(ConfigError) as raised:
        cost_model("llama-2-7b", "a100-80gb", 7)
    assert "32" in raised.value.told("zh")
    assert "注意力头" in raised.value.told("zh")


def test_words_that_are_in_no_catalogue_stay_as_they_are() -> None:
    assert Refusal("just so").told("zh") == "just so"


def test_it_survives_the_way_between_processes() -> None:
    error = Refusal.of("refusals.prompt_empty")
    there = pickle.loads(pickle.dumps(error))
    assert str(there) == str(error)
    assert there.told("zh") == error.told("zh")
