"""A few lines of small talk, so that a greeting or an unknown wish gets a sensible answer."""

from __future__ import annotations

import random

from minillm.pocket.words import COLOURS, FOODS, NAMES, OBJECTS, PLACES

_WHO = (
    "I am a very small language model. I can tell stories, answer questions about facts you give "
    "me, and do small sums."
)
_UNKNOWN = (
    "I am too small to know that. I can tell a story, answer a question about facts you give me, "
    "or do a small sum."
)
_PAIRS = (
    (("Hello!", "Hi!", "Hello, who is there?", "Good morning!", "Hi there."), "Hello! " + _WHO),
    (("Who are you?", "What are you?", "What can you do?", "Help.", "What is your name?"), _WHO),
    (("Thank you.", "Thanks!", "That was good.", "Well done."), "You are welcome."),
    (("Goodbye.", "Bye!", "See you."), "Goodbye!"),
)
_UNKNOWN_WISHES = (
    "What is the capital of {place}?",
    "Why is the sky {colour}?",
    "How do I make {food}?",
    "Write a program for my {object}.",
    "Translate {object} into French.",
    "What is the meaning of life?",
    "Who won the game?",
    "How far is the {place}?",
    "Explain how a {object} works.",
    "What is the weather in the {place}?",
)


def small_talk(rng: random.Random) -> tuple[str, str]:
    """(what the user says, what the model answers)."""
    if rng.random() < 0.5:
        questions, answer = rng.choice(_PAIRS)
        return rng.choice(questions), answer
    wish = rng.choice(_UNKNOWN_WISHES).format(
        place=rng.choice(PLACES),
        colour=rng.choice(COLOURS),
        food=rng.choice(FOODS),
        object=rng.choice(OBJECTS),
        name=rng.choice(NAMES),
    )
    return wish, _UNKNOWN
