"""Incremental detokenisation: text as it becomes final, stop strings, nothing twice or too early.

Two things delay text. A token may end in the middle of a character, so text waits while it ends in
U+FFFD. And text that may be the beginning of a stop string waits until it is known. Each token is
decoded together with a few before it, because decoders treat the start of a text specially; the
cost is linear in the output's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

REPLACEMENT = "\ufffd"
PROMPT_CONTEXT = 6  # prompt tokens decoded before the output, for spacing
LONGEST_WAIT = 16  # tokens: bytes that make no character by then never will


@dataclass(frozen=True, slots=True)
class Delta:
    """Text that became final, and the stop string that ended it, if one did."""

    text: str = ""
    stop: str | None = None


class Detokenizer:
    """Turns one request's output tokens into text.

    `tokenizer` is a transformers tokenizer, or None: then all text is "". With `min_tokens`, stop
    strings count from the token after those. Once a stop string is found, further tokens are
    ignored; the stop string and what follows it are not part of the text.
    """

    def __init__(
        self,
        tokenizer: Any | None,
        prompt_ids: Sequence[int],
        stop: tuple[str, ...] = (),
        skip_special_tokens: bool = True,
        *,
        min_tokens: int = 0,
    ) -> None:
        self._pieces = _Pieces(tokenizer, prompt_ids, skip_special_tokens) if tokenizer else None
        self._stop = StopStrings(stop) if stop else None
        self._unchecked = min_tokens
        self._stopped = False

    def push(self, token_ids: Sequence[int]) -> Delta:
        """Add tokens; returns what became final."""
        if self._pieces is None or self._stopped:
            return Delta()
        texts = []
        for token in token_ids:
            text = self._pieces.push(token)
            checked = self._stop is not None and self._unchecked <= 0
            self._unchecked -= 1
            if not checked:
                texts.append(text)
            elif text:
                assert self._stop is not None
                text, stop = self._stop.push(text)
                texts.append(text)
                if stop is not None:
                    self._stopped = True
                    return Delta("".join(texts), stop)
        return Delta("".join(texts))

    def flush(self) -> str:
        """The rest, when generation ended for another reason: broken characters show as U+FFFD."""
        if self._pieces is None or self._stopped:
            return ""
        self._stopped = True
        text = self._pieces.flush()
        if self._stop is None:
            return text
        text, stop = self._stop.push(text)
        return text if stop is not None else text + self._stop.held


class StopStrings:
    """Finds the first stop string to be completed in a stream, however it is cut into pieces."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self.held = ""  # may be the beginning of a stop string

    def push(self, text: str) -> tuple[str, str | None]:
        """Text that is certainly not part of a stop string, and the one found, if any."""
        text = self.held + text
        found = [(at + len(s), at, s) for s in self._stop if (at := text.find(s)) >= 0]
        if found:
            _, at, stop = min(found)
            self.held = ""
            return text[:at], stop
        keep = max(_overlap(text, s) for s in self._stop)
        self.held = text[len(text) - keep :]
        return text[: len(text) - keep], None


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a proper beginning of `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


class _Pieces:
    """Token → text that is final with it."""

    def __init__(self, tokenizer: Any, prompt_ids: Sequence[int], skip_special: bool) -> None:
        fast = getattr(tokenizer, "backend_tokenizer", None)
        self._tokenizer = tokenizer if fast is None else fast
        self._options: dict[str, bool] = {"skip_special_tokens": skip_special}
        if fast is None:
            self._options["clean_up_tokenization_spaces"] = False
        self._context = list(prompt_ids[-PROMPT_CONTEXT:])  # decoded, its text is known
        self._context_text = self._decode(self._context)
        self._pending: list[int] = []  # text not final

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, **self._options) if ids else ""

    def push(self, token: int) -> str:
        self._pending.append(token)
        text = self._decode(self._context + self._pending)
        if text.endswith(REPLACEMENT) and len(self._pending) < LONGEST_WAIT:
            return ""
        return self._commit(text)

    def flush(self) -> str:
        return self._commit(self._decode(self._context + self._pending)) if self._pending else ""

    def _commit(self, text: str) -> str:
        pending = self._decode(self._pending)
        if not pending and text == self._context_text:  # a special token: nothing to see
            self._pending = []
            return ""
        joins = text.startswith(self._context_text)  # else the context ended within a character
        new = text[len(self._context_text) :] if joins else pending
        self._context, self._context_text = self._pending, pending
        self._pending = []
        return new
