"""Errors whose words are in the catalogues, so that a page says them in its reader's language."""

from __future__ import annotations

from typing import Any, Self

from minillm.messages import DEFAULT, say


class Refusal(ValueError):
    """What was asked for is impossible. The message is English; `told` says it in any language,
    where the error was made by `of`."""

    _text: tuple[str, dict[str, Any]] | None = None

    @classmethod
    def of(cls, key: str, /, **values: Any) -> Self:
        """The refusal of a text of the catalogues and its values."""
        error = cls(say(DEFAULT, key, **values))
        error._text = key, values
        return error

    def told(self, language: str) -> str:
        """In `language` where the catalogues have it, else as it is."""
        if self._text is None:
            return str(self)
        key, values = self._text
        return say(language, key, **values)
