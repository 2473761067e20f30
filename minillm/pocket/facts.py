"""Facts (name, relation, value), the questions they answer, and the filler between them.

Names and values are drawn at random, so an answer can only be found by looking back into the
prompt: this is what teaches a small model recall. One triple in ten is held out of training.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from minillm.pocket.words import (
    COLOURS,
    FOODS,
    JOBS,
    NAMES,
    OBJECTS,
    PLACES,
    TASTES,
    estimate_tokens,
)


@dataclass(frozen=True)
class Relation:
    """How one kind of fact is drawn, said, asked and answered; the last question is held out."""

    sample_value: Callable[[random.Random], str]
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    answer: str
    inverse: str | None = None  # asks for the name, given the value


def _pair(first: Sequence[str], second: Sequence[str]) -> Callable[[random.Random], str]:
    return lambda rng: f"{rng.choice(first)} {rng.choice(second)}"


RELATIONS: dict[str, Relation] = {
    "has": Relation(
        _pair(COLOURS, OBJECTS),
        ("{name} has the {value}.", "{name} holds the {value}."),
        ("What does {name} have?", "What has {name} got?", "Tell me what {name} has."),
        "the {value}.",
        "Who has the {value}?",
    ),
    "likes": Relation(
        _pair(TASTES, FOODS),
        ("{name} likes the {value}.", "{name} likes to eat the {value}."),
        ("What does {name} like?", "What does {name} like to eat?", "Tell me what {name} likes."),
        "the {value}.",
    ),
    "lives": Relation(
        _pair(COLOURS, PLACES),
        ("{name} lives in the {value}.", "{name} has a home in the {value}."),
        ("Where does {name} live?", "Where is the home of {name}?", "Tell me the home of {name}."),
        "in the {value}.",
        "Who lives in the {value}?",
    ),
    "works": Relation(
        lambda rng: rng.choice(JOBS),
        ("{name} works as a {value}.",),
        ("What is the work of {name}?", "What does {name} work as?", "Tell me the work of {name}."),
        "as a {value}.",
    ),
    "code": Relation(
        lambda rng: str(rng.randint(100, 999)),
        ("The code of {name} is {value}.",),
        (
            "What is the code of {name}?",
            "What code does {name} have?",
            "Tell me the code of {name}.",
        ),
        "the code is {value}.",
    ),
}
INVERSE_ANSWER = "it is {name}."


@dataclass(frozen=True)
class Fact:
    name: str
    relation: str  # a key of RELATIONS
    value: str

    @property
    def held_out(self) -> bool:
        """Whether this triple is kept out of training (one in ten)."""
        key = f"{self.name}|{self.relation}|{self.value}".encode()
        return int.from_bytes(blake2b(key, digest_size=4).digest()) % 10 == 0

    @property
    def answer(self) -> str:
        return RELATIONS[self.relation].answer.format(value=self.value)

    def statement(self, rng: random.Random) -> str:
        template = rng.choice(RELATIONS[self.relation].statements)
        return template.format(name=self.name, value=self.value)

    def question(self, rng: random.Random, held_out_template: bool = False) -> str:
        questions = RELATIONS[self.relation].questions
        template = questions[-1] if held_out_template else rng.choice(questions[:-1])
        return template.format(name=self.name)


def sample_fact(
    rng: random.Random, held_out: bool | None, relations: Sequence[str] = tuple(RELATIONS)
) -> Fact:
    """A random fact; `held_out` None takes any triple."""
    while True:
        relation = rng.choice(relations)
        fact = Fact(rng.choice(NAMES), relation, RELATIONS[relation].sample_value(rng))
        if held_out is None or fact.held_out == held_out:
            return fact


def sample_facts(
    rng: random.Random,
    count: int,
    held_out: bool | None = False,
    distinct_names: bool | None = None,
    relations: Sequence[str] = tuple(RELATIONS),
) -> list[Fact]:
    """`count` facts, no two with the same name and relation or the same value.

    With `distinct_names` a name alone finds its fact; without, the relation is needed too. None
    tosses a coin (names are distinct three times in four), as far as there are names enough.
    """
    if distinct_names is None:
        distinct_names = rng.random() < 0.75
    distinct_names = distinct_names and count <= len(NAMES)
    facts: list[Fact] = []
    names: set[str] = set()
    pairs: set[tuple[str, str]] = set()
    values: set[str] = set()
    while len(facts) < count:
        fact = sample_fact(rng, held_out, relations)
        few_values = fact.relation == "works"
        if (distinct_names and fact.name in names) or (fact.name, fact.relation) in pairs:
            continue
        if fact.value in values and not few_values:
            continue
        facts.append(fact)
        names.add(fact.name)
        pairs.add((fact.name, fact.relation))
        values.add(fact.value)
    return facts


_FILLER = (
    "The {place} is quiet in the {time}.",
    "There is an old {object} near the {place}.",
    "A {colour} bird sings above the {place}.",
    "It is {weather} in the {place}.",
    "The road to the {place} is long.",
    "People bring {food} to the {place} in the {time}.",
    "Nobody knows how old the {place} is.",
    "The {colour} door of the {place} is open.",
    "In the {time} the wind blows over the {place}.",
    "The {object} near the door is {colour}.",
)
_TIMES = ("morning", "evening", "night", "winter", "summer")
_WEATHER = ("cold", "warm", "dark", "quiet")


def filler_sentence(rng: random.Random) -> str:
    """A sentence with no name in it, hence no answer."""
    return rng.choice(_FILLER).format(
        place=rng.choice(PLACES),
        object=rng.choice(OBJECTS[:-2]),
        colour=rng.choice(COLOURS[:-3]),
        food=rng.choice(FOODS),
        time=rng.choice(_TIMES),
        weather=rng.choice(_WEATHER),
    )


def weave(rng: random.Random, facts: Sequence[Fact], approx_tokens: int | None = None) -> str:
    """The facts in order, with filler strewn between them up to about `approx_tokens`."""
    sentences = [fact.statement(rng) for fact in facts]
    missing = (approx_tokens or 0) - sum(map(estimate_tokens, sentences))
    filler: list[str] = []
    while missing > 0:
        filler.append(filler_sentence(rng))
        missing -= estimate_tokens(filler[-1])
    # Choose which places of the text hold facts; the rest is filler.
    total = len(sentences) + len(filler)
    fact_places = set(rng.sample(range(total), len(sentences)))
    facts_left, filler_left = iter(sentences), iter(filler)
    text = (next(facts_left if i in fact_places else filler_left) for i in range(total))
    return " ".join(text)


def ask(
    rng: random.Random, fact: Fact, held_out_template: bool = False, inverse_share: float = 0.0
) -> tuple[str, str]:
    """(question, answer) about `fact`; a share of them asks for the name instead of the value."""
    inverse = RELATIONS[fact.relation].inverse
    if inverse and not held_out_template and rng.random() < inverse_share:
        return inverse.format(value=fact.value), INVERSE_ANSWER.format(name=fact.name)
    return fact.question(rng, held_out_template), fact.answer
