"""Small sums and counting: short answers, and answers whose length the prompt decides exactly."""

from __future__ import annotations

import random
from hashlib import blake2b

OPERATIONS = {"+": "plus", "-": "minus", "x": "times"}
QUESTIONS = (
    "What is {a} {op} {b}?",
    "How much is {a} {op} {b}?",
    "Please work out {a} {op} {b}.",
    "{a} {op} {b} =",
    "What is {a} {word} {b}?",
    "What do I get from {a} {op} {b}?",  # held out
)
MAX_TERM = 20  # largest number added or subtracted
MAX_FACTOR = 10


def is_held_out(a: int, op: str, b: int) -> bool:
    """Whether this sum is kept out of training (about one in ten)."""
    return blake2b(f"{a}{op}{b}".encode(), digest_size=2).digest()[0] % 10 == 0


def result(a: int, op: str, b: int) -> int:
    return {"+": a + b, "-": a - b, "x": a * b}[op]


def sample_sum(rng: random.Random, held_out: bool | None = False) -> tuple[int, str, int]:
    """Two numbers and an operation; `held_out` None takes any. No result is negative."""
    while True:
        op = rng.choice("++--x")
        a, b = (rng.randint(0, MAX_FACTOR if op == "x" else MAX_TERM) for _ in range(2))
        if op == "-" and a < b:
            a, b = b, a
        if held_out is None or is_held_out(a, op, b) == held_out:
            return a, op, b


def sum_question(
    rng: random.Random, held_out: bool | None = False, held_out_template: bool = False
) -> tuple[str, str]:
    """(question, answer), for example ("What is 7 + 5?", "7 + 5 = 12.")."""
    a, op, b = sample_sum(rng, held_out)
    template = QUESTIONS[-1] if held_out_template else rng.choice(QUESTIONS[:-1])
    question = template.format(a=a, b=b, op=op, word=OPERATIONS[op])
    return question, f"{a} {op} {b} = {result(a, op, b)}."


def counting_question(rng: random.Random) -> tuple[str, str]:
    """(question, answer), for example ("Count from 3 to 6.", "3, 4, 5, 6.")."""
    first = rng.randint(1, 30)
    last = first + rng.randint(2, 20)
    question = rng.choice(("Count from {} to {}.", "Please count from {} to {}."))
    numbers = ", ".join(str(number) for number in range(first, last + 1))
    return question.format(first, last), f"{numbers}."
