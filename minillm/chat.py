"""From what a person writes (text or chat messages) to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def encode_prompt(prompt: str | Sequence[dict[str, str]], tokenizer: Any) -> tuple[str, list[int]]:
    """Text as it will be shown, and token ids. Text is tokenised as it is; messages go through
    the tokenizer's chat template. Raises ValueError when there is no tokenizer or no template."""
    if tokenizer is None:
        raise ValueError("this model has no tokenizer: give prompts as token ids")
    if isinstance(prompt, str):
        return prompt, list(tokenizer(prompt)["input_ids"])
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError("this model's tokenizer has no chat template: give the prompt as text")
    for message in prompt:
        if set(message) != {"role", "content"}:
            raise ValueError(
                f"a chat message needs exactly role and content, got {sorted(message)}"
            )
    text = tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True)
    token_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return "\n".join(message["content"] for message in prompt), list(token_ids)
