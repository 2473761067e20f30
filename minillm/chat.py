"""From what a person writes (text or chat messages) to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def encode_prompt(
    prompt: str | Sequence[dict[str, str]], tokenizer: Any, *, template_optional: bool = False
) -> tuple[str, list[int]]:
    """Text as it will be shown, and token ids. Text is tokenised as it is; messages go through
    the tokenizer's chat template. With `template_optional` a tokenizer without one gets their
    plain text. Raises ValueError when there is no tokenizer, or no template where one is needed.
    """
    if tokenizer is None:
        raise ValueError("this model has no tokenizer: give prompts as token ids")
    if isinstance(prompt, str):
        _check_text(prompt)
        return prompt, list(tokenizer(prompt)["input_ids"])
    for message in prompt:
        if set(message) != {"role", "content"}:
            raise ValueError(
                f"a chat message needs exactly role and content, got {sorted(message)}"
            )
        _check_text(message["role"])
        _check_text(message["content"])
    shown = "\n".join(message["content"] for message in prompt)
    if not getattr(tokenizer, "chat_template", None):
        if template_optional:
            return shown, list(tokenizer(shown)["input_ids"])
        raise ValueError("this model's tokenizer has no chat template: give the prompt as text")
    text = tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True)
    token_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return shown, list(token_ids)


def _check_text(text: object) -> None:
    if not isinstance(text, str):
        raise ValueError(f"a prompt must be text, got {text!r}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the prompt is not valid Unicode at character {error.start}: {text[error.start]!r}"
        ) from None
