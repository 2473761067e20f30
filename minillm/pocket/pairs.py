"""Names and values without sentences: the shortest exercise in looking back.

Each name is given a value once, then names come again and again and the value must be said:
"Tom red Ann kite Ann kite Tom red". Nearly every other token is a question, where a chat about
facts has one in a dozen. Words strewn between name and value ("Tom lives the red") teach that a
value belongs to the last name before it, at whatever distance.
"""

from __future__ import annotations

import random

from minillm.pocket.words import COLOURS, NAMES, OBJECTS, PLACES

_VALUES = COLOURS + OBJECTS + PLACES
_LENGTH = 64  # tokens, about
_MAX_PAIRS = 6
# The words that stand between name and value in statements and questions, and the markers that
# stand between question and answer.
_BETWEEN = (
    *(
        f" {word}"
        for word in (
            "has holds the likes to eat lives in home a works as code of is does have? like? "
            "What Where"
        ).split()
    ),
    "<|end|>",
    "<|assistant|>",
)


def pairs_text(rng: random.Random, max_gap: int) -> list[tuple[str, str]]:
    """(what is given, the value to say) in turn, to be read as one running text.

    `max_gap`: the most words between a name and its value.
    """
    count = rng.randint(2, _MAX_PAIRS)
    names, values = rng.sample(NAMES, count), rng.sample(_VALUES, count)
    length = 0

    def cue(i: int) -> str:
        nonlocal length
        between = rng.choices(_BETWEEN, k=rng.randint(0, max_gap))
        length += 2 + len(between)
        return names[i] + "".join(between)

    given = [f"{cue(i)} {values[i]}{rng.choice(('', '.'))}" for i in range(count)]
    turns: list[tuple[str, str]] = []
    while length < _LENGTH:
        i = rng.randrange(count)
        turns.append((" ".join([*given, cue(i)]), f" {values[i]}"))
        given = []
    return turns
