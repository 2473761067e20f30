from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast as Tokenizer

from minillm.pocket import pocket_path


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return AutoTokenizer.from_pretrained(pocket_path())


@pytest.fixture(scope="session")
def model() -> LlamaForCausalLM:
    loaded: Any = AutoModelForCausalLM.from_pretrained(pocket_path(), dtype=torch.float32)
    return loaded.eval()
