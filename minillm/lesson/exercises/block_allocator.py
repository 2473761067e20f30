"""Lesson 4: the block allocator.

The judge keeps books of its own, with which the allocator has to agree after every call.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from minillm import LLM, SamplingParams
from minillm.lesson.block_allocator import MakeAllocator, llm_with
from minillm.lesson.block_books import SIZE, Books, wrong
from minillm.lesson.exercise import Exercise

BLOCKS = 8
REFUSALS = (ValueError, AssertionError, LookupError)  # what may be raised for a double free
PROMPTS = ("Once upon a time there was a fox.", "Once upon a time there was a fox who")
OPTIONS: dict[str, Any] = {
    "num_blocks": 20,
    "block_size": 4,
    "max_num_batched_tokens": 16,
    "max_num_seqs": 6,
}


def judge(allocator: MakeAllocator) -> None:
    _lengths(allocator)
    _growing(allocator)
    _full(allocator)
    _freed(allocator)
    _freed_twice(allocator)
    _shared(allocator)
    _two_pools(allocator)
    _walk(allocator)
    _in_the_engine(allocator)


def _lengths(allocator: MakeAllocator) -> None:
    """As many blocks as the tokens need."""
    for tokens in (8, 5, 4, 1, 3, 9, 16, 17):
        Books(allocator, BLOCKS).allocate(0, tokens)


def _growing(allocator: MakeAllocator) -> None:
    """A table grows by what is missing, beside others."""
    books = Books(allocator, BLOCKS)
    for request, tokens in ((0, 6), (1, 1), (0, 8), (0, 9), (1, 5), (2, 4), (0, 3), (1, 8)):
        books.allocate(request, tokens)


def _full(allocator: MakeAllocator) -> None:
    """Without room nothing changes; and the last block is as good as the first."""
    books = Books(allocator, BLOCKS)
    books.allocate(0, 5 * SIZE)
    books.allocate(1, 4 * SIZE)
    books.allocate(0, 9 * SIZE)
    books.allocate(2, 3 * SIZE)
    books.allocate(3, 1)
    books.allocate(2, 3 * SIZE + 1)
    books.allocate(2, 3 * SIZE)
    books.close()


def _freed(allocator: MakeAllocator) -> None:
    """What has ended makes room for others, again and again."""
    books = Books(allocator, BLOCKS)
    for request in range(3):
        books.allocate(request, 2 * SIZE)
    books.release(2)
    books.release(0)
    books.allocate(3, 6 * SIZE)
    books.release(1)
    books.allocate(4, 2 * SIZE)
    books.close()


def _freed_twice(allocator: MakeAllocator) -> None:
    books = Books(allocator, BLOCKS)
    for request in range(2):
        books.allocate(request, 2 * SIZE)
    table = list(books.held[0])
    books.release(0)
    try:
        books.own.free(list(table))
    except REFUSALS:
        books.close()
    else:
        raise wrong("double_free", block=table[0], free=len(books.free), said=books.own.num_free)


def _shared(allocator: MakeAllocator) -> None:
    """Whoever ends first, the others keep what they share, until the last one ends."""
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        books = Books(allocator, BLOCKS)
        books.allocate(0, 3 * SIZE)
        books.share(0, 1, 2)
        books.allocate(1, 3 * SIZE)
        books.share(0, 2, 3)
        for request in order:
            books.release(request)
        books.close()


def _two_pools(allocator: MakeAllocator) -> None:
    """Each allocator has blocks of its own."""
    first, second = allocator(BLOCKS, SIZE), allocator(BLOCKS, SIZE)
    first.allocate([], BLOCKS * SIZE)
    if second.num_free != BLOCKS or not second.allocate([], BLOCKS * SIZE):
        raise wrong("outside")


def _walk(allocator: MakeAllocator) -> None:
    """A long day: requests come, grow, share and end."""
    source, books = random.Random(4), Books(allocator, 24)
    for request in range(300):
        alive = list(books.held)
        if alive and source.random() < 0.4:
            books.share(parent := source.choice(alive), request, source.randint(0, 4))
            books.allocate(request, source.randint(1, 12) + len(books.held[parent]))
        else:
            books.allocate(request, source.randint(1, 30))
        for _growth in range(2):
            books.allocate(source.choice(list(books.held)), source.randint(1, 40))
        while len(books.free) < 6 or len(books.held) > 8:
            books.release(source.choice(list(books.held)))
    books.close()


def _in_the_engine(allocator: MakeAllocator) -> None:
    """The pocket model on blocks from this allocator says what it says on the engine's own."""
    llm = llm_with(allocator, **OPTIONS)
    for (prompt, got), wanted in zip(_answers(llm), _engines_own(), strict=True):
        if got != wanted[1]:
            raise wrong("engine", prompt=prompt)
    free = llm.engine.kv_cache.num_free_blocks
    if free != OPTIONS["num_blocks"]:
        raise wrong("engine_left", blocks=OPTIONS["num_blocks"], free=free)


def _answers(llm: LLM) -> list[tuple[str, tuple[tuple[int, ...], ...]]]:
    """Each prompt with its answers. The pool is so small that somebody is preempted."""
    params = SamplingParams(temperature=0.8, max_tokens=24, ignore_eos=True, n=2, seed=1)
    prompts = list(PROMPTS) * 2
    outputs = llm.generate(prompts, params)
    return [
        (prompt, tuple(tuple(answer.token_ids) for answer in output.outputs))
        for prompt, output in zip(prompts, outputs, strict=True)
    ]


@cache
def _engines_own() -> list[tuple[str, tuple[tuple[int, ...], ...]]]:
    return _answers(LLM(**OPTIONS))


EXERCISE = Exercise("BlockAllocator", "lesson_04", judge, prepare=_engines_own)
