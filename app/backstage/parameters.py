"""Values of link parameters, read from text. ValueError says, in a language, what may be given."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from minillm.messages import say

MOST = 999_999_999


def whole(language: str, text: str, least: int = 1, most: int = MOST) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise ValueError(say(language, "app.link_whole", least=least, most=most))
    return int(text)


def one_of(language: str, text: str, known: Collection[str]) -> str:
    if text not in known:
        raise ValueError(
            say(language, "app.link_known", known=", ".join(known)) + near(language, text, known)
        )
    return text


def on_off(language: str, text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError(say(language, "app.link_on_off"))
    return text == "on"


def near(language: str, text: str, known: Collection[str]) -> str:
    """A sentence with the known name that `text` is nearest to, or nothing."""
    found = get_close_matches(text, list(known), n=1)
    return say(language, "app.link_near", name=found[0]) if found else ""
