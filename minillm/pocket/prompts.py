"""Seeded prompts that the pocket model knows how to answer, for scenes, lessons and tests.

Nothing here loads torch or a tokenizer: lengths are estimates, within a few percent of the truth.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from minillm.pocket import arithmetic, stories
from minillm.pocket.facts import Fact, ask, sample_facts, weave
from minillm.pocket.stories import Length
from minillm.pocket.words import estimate_tokens

Message = dict[str, str]
_MARKERS = 2  # tokens of the chat template around each message


@dataclass(frozen=True)
class Prompt:
    """One request: chat messages, what it is, and the right answer where there is just one."""

    messages: list[Message]
    kind: str  # "story-short", "story-medium", "story-long", "fact", "sum" or "count"
    answer: str | None = None

    @property
    def approx_tokens(self) -> int:
        """About how many tokens the rendered prompt takes."""
        return 2 + sum(estimate_tokens(m["content"]) + _MARKERS for m in self.messages)


@dataclass(frozen=True)
class SystemPrompt:
    """A system message that many requests share, and the facts it states."""

    content: str
    facts: tuple[Fact, ...]

    def question(self, rng: random.Random) -> Prompt:
        """A request that shares this system prompt and asks about one of its facts."""
        question, answer = ask(rng, rng.choice(self.facts))
        messages = [
            {"role": "system", "content": self.content},
            {"role": "user", "content": question},
        ]
        return Prompt(messages, "fact", answer)


def _user(content: str, kind: str, answer: str | None = None) -> Prompt:
    return Prompt([{"role": "user", "content": content}], kind, answer)


def story_request(rng: random.Random, length: Length) -> Prompt:
    """Ask for a story; "short" takes about 35 tokens, "medium" 95, "long" 290."""
    hero, thing = stories.sample_subject(rng, held_out=None)
    return _user(stories.story_request(rng, length, hero, thing), f"story-{length}")


def fact_question(rng: random.Random, num_facts: int, approx_tokens: int | None = None) -> Prompt:
    """A question about one of `num_facts` facts, padded with filler to about `approx_tokens`."""
    facts = sample_facts(rng, num_facts, held_out=None, distinct_names=True)
    question, answer = ask(rng, rng.choice(facts))
    room = (approx_tokens or 0) - estimate_tokens(question) - 2 - _MARKERS
    return _user(f"{weave(rng, facts, room)} {question}", "fact", answer)


def long_document_question(rng: random.Random, approx_tokens: int) -> Prompt:
    """A long text with a fact about every hundred tokens, and a question about one of them."""
    return fact_question(rng, max(4, approx_tokens // 100), approx_tokens)


def arithmetic_question(rng: random.Random) -> Prompt:
    """A small sum."""
    question, answer = arithmetic.sum_question(rng, held_out=None)
    return _user(question, "sum", answer)


def counting_question(rng: random.Random) -> Prompt:
    """Counting from one number to another: the prompt decides the answer's length exactly."""
    question, answer = arithmetic.counting_question(rng)
    return _user(question, "count", answer)


def system_prompt(rng: random.Random, approx_tokens: int) -> SystemPrompt:
    """A system message of about `approx_tokens`: a fact in every thirty tokens, the rest filler."""
    lead = "Answer the question from these facts."
    facts = sample_facts(rng, max(2, approx_tokens // 30), held_out=None, distinct_names=True)
    room = approx_tokens - estimate_tokens(lead) - _MARKERS
    return SystemPrompt(f"{lead} {weave(rng, facts, room)}", tuple(facts))
