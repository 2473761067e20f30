"""Small stories of asked-for length, written by a grammar (`plots.py` holds the prose).

A story keeps one hero, one object and one goal, so that every paragraph refers back to what the
request and the opening named. Its length follows the request: a short story takes about 30
tokens, a medium one about 90, a long one about 300.
"""

from __future__ import annotations

import random
import re
from typing import Literal, get_args

from minillm.pocket.plots import (
    BRIEF_OPENINGS,
    EPISODES,
    MORALS,
    OPENINGS,
    PLOTS,
    TRAITS,
)
from minillm.pocket.words import (
    COLOURS,
    FEMALE_NAMES,
    FOODS,
    HEROES,
    MALE_NAMES,
    NAMES,
    OBJECTS,
    PLACES,
    article,
)

Length = Literal["short", "medium", "long"]
LENGTHS: tuple[Length, ...] = get_args(Length)

_LENGTH_WORDS: dict[Length, tuple[str, ...]] = {
    "short": ("short", "short", "very short"),
    "medium": ("medium", "medium", ""),
    "long": ("long", "long", "very long"),
}
_REQUESTS = (
    "Tell me a {length} story about {hero} and {object}.",
    "Write a {length} story about {hero} who finds {object}.",
    "Please tell a {length} story with {hero} and {object} in it.",
    "Tell me a {length} story about {hero}.",
    "Tell me a {length} story.",
    "I would like a {length} story about {hero} and {object}.",  # held out
)
_CHOICE = re.compile(r"\[([^\[\]]*)\]")


def is_held_out(hero: str, thing: str) -> bool:
    """Whether stories about this pair are kept out of training (about one in ten)."""
    return (HEROES.index(hero) * 7 + OBJECTS.index(thing) * 3) % 10 == 0


def sample_subject(rng: random.Random, held_out: bool | None = False) -> tuple[str, str]:
    """(hero, object), for example ("fox", "lantern"); `held_out` None takes any pair."""
    while True:
        hero, thing = rng.choice(HEROES), rng.choice(OBJECTS)
        if held_out is None or is_held_out(hero, thing) == held_out:
            return hero, thing


def story_request(
    rng: random.Random, length: Length, hero: str, thing: str, held_out_template: bool = False
) -> str:
    """Ask for a story in words that say its length and subject plainly."""
    if held_out_template:
        template = _REQUESTS[-1]
    else:
        template = rng.choices(_REQUESTS[:-1], weights=(5, 3, 3, 2, 1))[0]
    word = rng.choice(_LENGTH_WORDS[length])
    request = template.format(length=word, hero=article(hero), object=article(thing))
    return request.replace("  ", " ")


def write_story(rng: random.Random, length: Length, hero: str, thing: str) -> str:
    """A story about `hero` and `thing`, ending by itself."""
    slots = _slots(rng, hero, thing)
    plot = rng.choice(PLOTS)
    if length == "short":
        parts = [rng.choice(BRIEF_OPENINGS), plot.brief]
    elif length == "medium":
        parts = [rng.choice(OPENINGS), plot.want, plot.turn, plot.end]
    else:
        journey = rng.sample(EPISODES, rng.randint(4, 6))
        parts = [rng.choice(OPENINGS), rng.choice(TRAITS), plot.want]
        parts += journey
        parts += [plot.turn, plot.end, rng.choice(MORALS)]
    return " ".join(_fill(rng, part, slots) for part in parts)


def _fill(rng: random.Random, template: str, slots: dict[str, str]) -> str:
    """Make the template's choices, then fill its slots; a passer-by is new in each episode."""
    text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
    others = [name for name in NAMES if name not in (slots["N"], slots["F"])]
    passer = rng.choice(others)
    kind = rng.choice([k for k in HEROES if k not in (slots["K"], slots["G"])])
    return text.format(
        **slots,
        X=passer,
        Y=kind,
        aY=article(kind),
        him_x="her" if passer in FEMALE_NAMES else "him",
    )


def _slots(rng: random.Random, hero: str, thing: str) -> dict[str, str]:
    if hero in ("girl", "queen"):
        female = True
    elif hero in ("boy", "king"):
        female = False
    else:
        female = rng.random() < 0.5
    name = rng.choice(FEMALE_NAMES if female else MALE_NAMES)
    friend = rng.choice([other for other in NAMES if other != name])
    friend_kind = rng.choice([kind for kind in HEROES if kind != hero])
    colour = rng.choice(COLOURS)
    home, far, between = rng.sample(PLACES, 3)
    friend_female = friend in FEMALE_NAMES
    return {
        "N": name,
        "K": hero,
        "aK": article(hero),
        "O": thing,
        "aO": article(thing),
        "C": colour,
        "aC": article(colour),
        "P": home,
        "Q": far,
        "R": between,
        "F": friend,
        "G": friend_kind,
        "aG": article(friend_kind),
        "W": rng.choice(FOODS),
        "he": "she" if female else "he",
        "He": "She" if female else "He",
        "him": "her" if female else "him",
        "his": "her" if female else "his",
        "he_f": "she" if friend_female else "he",
        "him_f": "her" if friend_female else "him",
    }
