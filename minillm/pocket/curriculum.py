"""What the model sees, in which order.

A plain mix of everything teaches no recall by name: facts of different kinds can be told apart by
their kind, and the model settles for that. So finding a value by its name is learnt first and
alone: bare pairs, then pairs with words between, then facts that are mostly of one kind, each
asked about several times. Only then do facts become many, stories and sums join, and in the last
stretches the context grows to its full length, and sums, which are learnt by heart, come again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from minillm.pocket.corpus import Mix


@dataclass(frozen=True)
class Stage:
    name: str
    mix: Mix
    tokens: int  # to train on, padding not counted
    batch_tokens: int  # per optimizer step, padding counted


_PAIRS = Mix(facts=0, pairs=1)
_NAMED = Mix(
    facts=2,
    pairs=2,
    max_gap=6,
    max_facts=4,
    min_questions=5,
    max_questions=10,
    one_relation_share=0.8,
)
_FEW = replace(
    _NAMED,
    pairs=1,
    stories=0.5,
    max_facts=12,
    max_questions=12,
    max_tokens=200,
    system_share=0.2,
    one_relation_share=0.6,
    inverse_share=0.1,
)
_MIXED = Mix(
    facts=3,
    stories=4.5,
    sums=1.2,
    talk=0.2,
    max_facts=24,
    min_questions=2,
    max_questions=12,
    max_tokens=320,
    system_share=0.4,
    one_relation_share=0.4,
    inverse_share=0.15,
)
_LONG = replace(_MIXED, facts=2.5, max_facts=64, max_questions=16, max_tokens=1850)
_SUMS = replace(_LONG, facts=1, stories=2.5, sums=10, max_tokens=900)

CURRICULUM = (
    Stage("pairs", _PAIRS, 100_000, 2048),
    Stage("pairs, some apart", replace(_PAIRS, max_gap=2), 120_000, 2048),
    Stage("pairs, apart", replace(_PAIRS, max_gap=4), 120_000, 2048),
    Stage("pairs, far apart", replace(_PAIRS, max_gap=6), 160_000, 2048),
    Stage("four facts", _NAMED, 600_000, 2048),
    Stage("few facts", _FEW, 1_000_000, 3072),
    Stage("everything", _MIXED, 3_900_000, 4096),
    Stage("long context", _LONG, 1_500_000, 6144),
    Stage("sums again", _SUMS, 600_000, 4096),
)


def scaled(stages: tuple[Stage, ...], factor: float) -> tuple[Stage, ...]:
    """The same curriculum with `factor` times the tokens, for trials."""
    return tuple(replace(stage, tokens=round(stage.tokens * factor)) for stage in stages)
