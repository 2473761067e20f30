"""The pocket corpus: an endless, seeded stream of chats.

A `Chat` is a list of messages as a chat template takes them. Documents mix three skills: stories,
recall of facts given in the prompt, and small sums; `Mix` says how much of each.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from minillm.pocket.arithmetic import counting_question, sum_question
from minillm.pocket.facts import RELATIONS, ask, sample_facts, weave
from minillm.pocket.pairs import pairs_text
from minillm.pocket.stories import LENGTHS, sample_subject, story_request, write_story
from minillm.pocket.talk import small_talk
from minillm.pocket.words import estimate_tokens

Message = dict[str, str]


@dataclass(frozen=True)
class Chat:
    """Messages with roles "system", "user", "assistant"; `kind` names the skill it trains.

    `raw` marks one running text, written without any role markers.
    """

    kind: str
    messages: tuple[Message, ...]
    raw: bool = False


@dataclass(frozen=True)
class Mix:
    """What a stretch of the corpus holds. Shares are relative weights; lengths are tokens."""

    facts: float = 1.0
    stories: float = 0.0
    sums: float = 0.0
    talk: float = 0.0
    pairs: float = 0.0
    max_gap: int = 0  # words between name and value, in pairs
    min_facts: int = 2
    max_facts: int = 2
    min_questions: int = 1
    max_questions: int = 4
    min_tokens: int = 0  # facts are padded with filler to a length in this range
    max_tokens: int = 0
    system_share: float = 0.0  # facts in the system message rather than the user's
    one_relation_share: float = 0.0  # all facts of one kind: only the name tells them apart
    inverse_share: float = 0.0  # "Who has ...?" rather than "What does ... have?"


_LEADS = ("Here are some facts.", "Read this.", "Please remember this.", "Listen.", "")
_SYSTEM_LEADS = (
    "You are a helpful guide. Answer from these facts.",
    "Answer the question from these facts.",
    "These are the rules of the house. Use them to answer.",
    "You know these facts.",
)


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _turns(pairs: list[tuple[str, str]]) -> tuple[Message, ...]:
    return tuple(
        _message(role, text)
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    )


def facts_chat(rng: random.Random, mix: Mix) -> Chat:
    """Facts once, then several questions: each answer is one more lesson in looking back."""
    # Few facts are as frequent as many: the exponent is drawn evenly.
    count = round(mix.min_facts * (mix.max_facts / mix.min_facts) ** rng.random())
    relations = list(RELATIONS)
    if rng.random() < mix.one_relation_share:
        relations = [rng.choice(relations)]
    facts = sample_facts(rng, count, relations=relations)
    tokens = rng.randint(mix.min_tokens, mix.max_tokens)
    text = weave(rng, facts, tokens)
    asked = rng.choices(facts, k=rng.randint(mix.min_questions, mix.max_questions))
    pairs = [ask(rng, fact, inverse_share=mix.inverse_share) for fact in asked]
    if rng.random() < mix.system_share:
        system = _message("system", f"{rng.choice(_SYSTEM_LEADS)} {text}")
        return Chat("facts", (system, *_turns(pairs)))
    first, answer = pairs[0]
    if rng.random() < 0.15:  # the question first, then the facts, then the question again
        text = f"{first} {text}"
    opening = f"{rng.choice(_LEADS)} {text} {first}".strip()
    return Chat("facts", _turns([(opening, answer), *pairs[1:]]))


def story_chat(rng: random.Random) -> Chat:
    """One story on request, now and then two in a row, or a story without any request."""
    pairs: list[tuple[str, str]] = []
    for _ in range(2 if rng.random() < 0.1 else 1):
        length = rng.choices(LENGTHS, weights=(3, 3, 3))[0]
        hero, thing = sample_subject(rng)
        story = write_story(rng, length, hero, thing)
        pairs.append((story_request(rng, length, hero, thing), story))
    if rng.random() < 0.06:
        return Chat("story", (_message("assistant", pairs[0][1]),), raw=True)
    return Chat("story", _turns(pairs))


def sums_chat(rng: random.Random) -> Chat:
    """One to eight sums in a row; now and then counting."""
    pairs = [
        counting_question(rng) if rng.random() < 0.1 else sum_question(rng)
        for _ in range(rng.randint(1, 8))
    ]
    return Chat("sums", _turns(pairs))


def talk_chat(rng: random.Random) -> Chat:
    return Chat("talk", _turns([small_talk(rng)]))


def pairs_chat(rng: random.Random, max_gap: int) -> Chat:
    return Chat("pairs", _turns(pairs_text(rng, max_gap)), raw=True)


def sample_chat(rng: random.Random, mix: Mix) -> Chat:
    """One chat, its skill drawn by the mix's shares."""
    kinds = ("facts", "stories", "sums", "talk", "pairs")
    weights = (mix.facts, mix.stories, mix.sums, mix.talk, mix.pairs)
    kind = rng.choices(kinds, weights)[0]
    if kind == "facts":
        return facts_chat(rng, mix)
    if kind == "stories":
        return story_chat(rng)
    if kind == "pairs":
        return pairs_chat(rng, mix.max_gap)
    return sums_chat(rng) if kind == "sums" else talk_chat(rng)


def chats(seed: int | str, mix: Mix) -> Iterator[Chat]:
    """An endless stream; the same seed gives the same chats on every machine."""
    rng = random.Random(f"minillm-pocket-{seed}")
    while True:
        yield sample_chat(rng, mix)


FULL_MIX = Mix(
    facts=4,
    stories=4,
    sums=1,
    talk=0.3,
    max_facts=24,
    max_tokens=400,
    system_share=0.3,
    inverse_share=0.15,
)


def tokenizer_texts(seed: int = 0, count: int = 12_000) -> Iterator[str]:
    """Message texts that show every word of the corpus often enough to earn its own token."""
    mix = replace(FULL_MIX, facts=6)
    for _, chat in zip(range(count), chats(f"tokenizer-{seed}", mix), strict=False):
        for message in chat.messages:
            answers = message["role"] == "assistant"
            yield message["content"] if answers else f" {message['content']}"


def chat_tokens(chat: Chat) -> int:
    """About how many tokens the chat takes, markers included."""
    return sum(estimate_tokens(message["content"]) + 2 for message in chat.messages)
