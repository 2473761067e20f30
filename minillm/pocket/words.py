"""The closed vocabulary of the pocket corpus.

Few words, all common: the tokenizer then keeps nearly every one as a single token, and a prompt's
length in tokens can be estimated without loading it (see `estimate_tokens`).
"""

from __future__ import annotations

import re


def _words(text: str) -> list[str]:
    return text.split()


FEMALE_NAMES = _words(
    "Ada Amy Ann Bea Cara Clara Dora Ella Emma Eva Fay Gwen Hana Ida Ivy Jane Joy Kate Lena Lily "
    "Lucy Maya Mia Mina Nell Nina Nora Olga Rosa Ruth Sara Sofia Tess Uma Vera Wendy Yuki Zoe"
)
MALE_NAMES = _words(
    "Abe Adam Ali Ben Carl Cole Dan Dev Eli Finn Fred Gus Hugo Ian Ivan Jack Joe Karl Kai Leo Liam "
    "Luke Marco Max Milo Ned Noah Omar Otto Owen Paul Pip Ravi Rex Sam Tim Tom Wei"
)
NAMES = FEMALE_NAMES + MALE_NAMES

COLOURS = _words("red blue green yellow white black brown golden silver purple orange grey pink")
OBJECTS = _words(
    "lantern key boat kite drum bell book map coin ring basket lamp cup hat coat box flute mirror "
    "rope clock candle blanket stone feather shell wheel ladder bag spoon brush pen whistle ball "
    "bottle button chair shovel bucket umbrella letter"
)
HEROES = _words(
    "fox rabbit bear owl mouse cat dog duck frog goat horse wolf deer hedgehog squirrel turtle "
    "crow lion girl boy farmer sailor baker king queen robot dragon giant wizard"
)
PLACES = _words(
    "forest village garden castle mill valley harbour market cave meadow tower school barn library "
    "desert island town kitchen station temple"
)
FOODS = _words("bread soup honey cheese cake rice apples berries nuts pie milk tea corn beans")
TASTES = _words("warm sweet fresh cold hot")
JOBS = _words(
    "baker farmer sailor teacher doctor painter driver cook guard singer tailor gardener pilot "
    "writer miller dancer nurse judge"
)

_PIECE = re.compile(r"\w+|[^\w\s]")


def article(noun: str) -> str:
    """`noun` with "a" or "an" before it."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` takes: one per word, digit and punctuation mark
    (a number also pays for the space before it)."""
    pieces = _PIECE.findall(text)
    return sum(1 + len(piece) if piece.isdigit() else 1 for piece in pieces)
