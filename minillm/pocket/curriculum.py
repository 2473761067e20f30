"""What the model sees, in which order.

A plain mix of everything teaches no recall: copying from the prompt must form first, where it is
easiest: two facts and nothing else. Only then do facts become many, stories and sums join, and in
the last stretch the context grows to its full length. Facts of one kind, which nothing but the
name tells apart, remain out of reach at this length of training (see the model card).
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


_FEW = Mix(
    facts=5,
    stories=1,
    max_facts=8,
    max_tokens=200,
    system_share=0.2,
    one_relation_share=0.4,
)
_MIXED = Mix(
    facts=3,
    stories=3.5,
    sums=1.2,
    talk=0.2,
    max_facts=24,
    max_questions=6,
    max_tokens=320,
    system_share=0.4,
    one_relation_share=0.2,
    inverse_share=0.15,
)
_LONG = replace(_MIXED, facts=2.5, max_facts=64, max_questions=12, max_tokens=1850)

CURRICULUM = (
    Stage("two facts", Mix(max_facts=2, one_relation_share=0.9), 400_000, 2048),
    Stage("four facts", Mix(max_facts=4, max_tokens=60, one_relation_share=0.7), 400_000, 2048),
    Stage("few facts", _FEW, 700_000, 4096),
    Stage("everything", _MIXED, 3_800_000, 4096),
    Stage("long context", _LONG, 900_000, 6144),
)


def scaled(stages: tuple[Stage, ...], factor: float) -> tuple[Stage, ...]:
    """The same curriculum with `factor` times the tokens, for trials."""
    return tuple(replace(stage, tokens=round(stage.tokens * factor)) for stage in stages)
