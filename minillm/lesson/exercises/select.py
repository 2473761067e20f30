"""Lesson 6: iteration-level scheduling, as Orca's Algorithm 1 chooses a batch.

The right choice is one set: in order of arrival, up to the first that does not fit. Whatever
differs from it breaks a limit, leaves out somebody who runs, goes past somebody who came earlier,
or leaves room unused; each with its numbers.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from minillm import LLM, SamplingParams
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.lesson.exercise import Exercise, Wrong
from minillm.lesson.selection import Select, Selecting
from minillm.request import Request, Status

MS = 1_000_000  # ns


@dataclass(frozen=True)
class Limits:
    """Of a step: places, tokens computed, and KV slots in all."""

    seqs: int = 8
    tokens: int = 100
    slots: int = 1000


@dataclass(frozen=True)
class Left:
    """What of the limits the members of a batch leave."""

    seqs: int
    tokens: int
    slots: int


def judge(select: Select) -> None:
    for limits, *requests in CASES:
        _trial(select, _pool(requests), limits)
    source = random.Random(6)
    for _case in range(60):
        _play(select, source)
    _in_the_engine(select)


# ---- the requests ---------------------------------------------------------------------------


def _waiting(prompt: int, answer: int) -> Request:
    sampling = SamplingParams(max_tokens=answer)
    return Request("", 0, prompt, sampling, answer, 0)


def _running(prompt: int, answer: int, written: int = 1) -> Request:
    request = _waiting(prompt, answer)
    _advance(request)
    for _token in range(written - 1):
        _advance(request)
    return request


def _advance(request: Request) -> None:
    """The request has been in a step: all its tokens are computed, and it has one more."""
    request.status, request.in_decode = Status.RUNNING, True
    request.num_computed_tokens = request.num_tokens
    request.num_output_tokens += 1


def _pool(requests: Sequence[Request]) -> list[Request]:
    """`requests` arrived in this order, 2 ms apart, and are in the pool in another."""
    pool = [copy.copy(request) for request in requests]
    for number, request in enumerate(pool, 1):
        request.request_id, request.number = str(number), number
        request.arrival_time = 2 * number * MS
    random.Random(len(pool)).shuffle(pool)
    return pool


CASES: tuple[tuple[Any, ...], ...] = (
    # Everything fits: an empty engine, one that runs with room for two more.
    (Limits(), _waiting(20, 10), _waiting(10, 10), _waiting(15, 10)),
    (Limits(), _running(20, 10), _waiting(10, 10), _waiting(15, 10)),
    (Limits(), _running(20, 10), _running(10, 10, 4)),
    # Places: of an empty engine, beside those who run, none at all.
    (Limits(seqs=3), *(_waiting(5, 10) for _ in range(5))),
    (Limits(seqs=4), *(_running(5, 10) for _ in range(3)), *(_waiting(5, 10) for _ in range(3))),
    (Limits(seqs=2), _running(5, 10), _running(5, 10), _waiting(5, 10), _waiting(5, 10)),
    # Tokens: prompts; prompts beside decodes; long prompts that have been read; an exact fit.
    (Limits(tokens=50), _waiting(30, 5), _waiting(30, 5), _waiting(25, 5)),
    (Limits(tokens=32), _running(5, 10), _running(5, 10), _running(5, 10), _waiting(30, 5)),
    (Limits(tokens=40), _running(80, 10), _running(90, 10), _waiting(30, 5)),
    (Limits(tokens=50), _running(5, 10), _waiting(30, 5), _waiting(19, 5)),
    # Slots: prompts; answers; those who run; reserved once; an exact fit.
    (Limits(tokens=300, slots=100), _waiting(60, 10), _waiting(60, 10)),
    (Limits(slots=100), _waiting(20, 40), _waiting(20, 40), _waiting(20, 40)),
    (Limits(slots=100), _running(20, 40), _waiting(20, 40), _waiting(20, 40)),
    (Limits(slots=100), _running(20, 31), _waiting(10, 21), _waiting(10, 21)),
    (Limits(slots=100), _running(20, 31, 9), _waiting(10, 31), _waiting(5, 6)),
    # Nobody goes past one who does not fit.
    (Limits(tokens=40), _running(5, 10), _waiting(45, 5), _waiting(10, 5)),
    (Limits(slots=100), _running(20, 41), _waiting(20, 41), _waiting(5, 6)),
    (Limits(seqs=3), _waiting(30, 9), _waiting(10, 5), _waiting(20, 8), _waiting(5, 3)),
)


# ---- the right choice, and what is wrong with another ---------------------------------------


def right(pool: Sequence[Request], limits: Limits) -> list[Request]:
    """Orca's choice: in order of arrival, up to the first that does not fit."""
    batch: list[Request] = []
    for request in _by_arrival(pool):
        if not _fits(request, _left(pool, batch, limits)):
            break
        batch.append(request)
    return batch


def _by_arrival(pool: Sequence[Request]) -> list[Request]:
    return sorted(pool, key=lambda request: (request.arrival_time, request.number))


def _runs(request: Request) -> bool:
    return request.status is Status.RUNNING


def _left(pool: Sequence[Request], batch: Sequence[Request], limits: Limits) -> Left:
    """Who runs holds slots whether it is in the batch or not."""
    holding = [*filter(_runs, pool), *(request for request in batch if not _runs(request))]
    return Left(
        limits.seqs - len(batch),
        limits.tokens - sum(request.num_uncomputed_tokens for request in batch),
        limits.slots - sum(request.max_total_tokens for request in holding),
    )


def _fits(request: Request, left: Left) -> bool:
    return (
        left.seqs >= 1
        and request.num_uncomputed_tokens <= left.tokens
        and (_runs(request) or request.max_total_tokens <= left.slots)
    )


def _trial(select: Select, pool: list[Request], limits: Limits) -> list[Request]:
    """What `select` chooses, if it is right."""
    before = [(request.status, request.num_computed_tokens) for request in pool]
    batch = select(list(pool), limits.seqs, limits.tokens, limits.slots)
    batch = _members(batch, pool)
    for request, was in zip(pool, before, strict=True):
        if (request.status, request.num_computed_tokens) != was:
            raise Wrong("lesson_06.select_changed", request=request.request_id)
    _within(pool, batch, limits)
    _nobody_left_out(pool, batch, limits)
    return batch


def _members(batch: Any, pool: Sequence[Request]) -> list[Request]:
    if batch is None or batch is ...:
        raise Wrong("lesson_06.select_nothing")
    if isinstance(batch, (str, Request)) or not hasattr(batch, "__iter__"):
        raise Wrong("lesson_06.select_type", got=type(batch).__name__)
    batch = list(batch)
    for member in batch:
        if not isinstance(member, Request):
            raise Wrong("lesson_06.select_member", got=type(member).__name__)
        if not any(member is request for request in pool):
            raise Wrong("lesson_06.select_stranger", request=member.request_id)
        if sum(member is other for other in batch) > 1:
            raise Wrong("lesson_06.select_twice", request=member.request_id)
    return batch


def _within(pool: Sequence[Request], batch: Sequence[Request], limits: Limits) -> None:
    """Raises Wrong where a limit is broken."""
    new = [request for request in batch if not _runs(request)]
    old = len(batch) - len(new)
    left = _left(pool, batch, limits)
    if left.seqs < 0:
        numbers = {"picked": len(batch), "old": old, "new": len(new), "limit": limits.seqs}
        beside = "_running" if len(new) <= limits.seqs else ""
        raise Wrong(f"lesson_06.select_seqs{beside}", **numbers)
    if left.tokens < 0:
        prompts = sum(request.num_uncomputed_tokens for request in new)
        used = limits.tokens - left.tokens
        alone = "_decodes" if prompts <= limits.tokens else ""
        numbers = {"used": used, "prompts": prompts, "old": old, "limit": limits.tokens}
        raise Wrong(f"lesson_06.select_tokens{alone}", **numbers)
    if left.slots < 0:
        held = sum(request.max_total_tokens for request in pool if _runs(request))
        wanted = sum(request.max_total_tokens for request in new)
        prompts = sum(request.num_prompt_tokens for request in new)
        kind = ""
        if wanted <= limits.slots:
            kind = "_running"
        elif held + prompts <= limits.slots:
            kind = "_answers"
        numbers = {"held": held, "wanted": wanted, "prompts": prompts, "limit": limits.slots}
        raise Wrong(f"lesson_06.select_slots{kind}", total=held + wanted, **numbers)


def _nobody_left_out(pool: Sequence[Request], batch: Sequence[Request], limits: Limits) -> None:
    """Raises Wrong for the first who should be in the batch and is not, or who was gone past."""
    wanted = right(pool, limits)
    missing = [request for request in wanted if request not in batch]
    if missing and _runs(missing[0]):
        _decode_left_out(missing[0], pool, batch, limits)
    for later in batch:
        for earlier in _by_arrival(pool):
            if earlier is later:
                break
            if earlier not in batch:
                kind = "order" if earlier in wanted else "bypass"
                raise Wrong(
                    f"lesson_06.select_{kind}",
                    earlier=earlier.request_id,
                    earlier_ms=f"{earlier.arrival_time / MS:.4g}",
                    later=later.request_id,
                    later_ms=f"{later.arrival_time / MS:.4g}",
                )
    if missing:
        _room_unused(missing[0], wanted, batch, pool, limits)


def _decode_left_out(
    request: Request, pool: Sequence[Request], batch: Sequence[Request], limits: Limits
) -> None:
    new = [other.request_id for other in batch if not _runs(other)]
    if new:
        raise Wrong("lesson_06.select_starved", request=request.request_id, new=new[0])
    read, held = _spent(pool)
    names = {"request": request.request_id, "read": read, "held": held}
    if read > limits.tokens:
        raise Wrong("lesson_06.select_read_again", limit=limits.tokens, **names)
    if 2 * held > limits.slots:
        raise Wrong("lesson_06.select_held_twice", limit=limits.slots, **names)
    raise Wrong("lesson_06.select_stalled", **names)


def _room_unused(
    request: Request,
    wanted: Sequence[Request],
    batch: Sequence[Request],
    pool: Sequence[Request],
    limits: Limits,
) -> None:
    """`request` waits, and could join those before it in `wanted`."""
    left = _left(pool, wanted[: wanted.index(request)], limits)
    tokens, slots = request.num_uncomputed_tokens, request.max_total_tokens
    read, held = _spent(pool)
    names = {"request": request.request_id, "read": read, "held": held}
    if read and read + tokens > limits.tokens:
        raise Wrong("lesson_06.select_read_again", limit=limits.tokens, **names)
    if held and 2 * held + slots > limits.slots:
        raise Wrong("lesson_06.select_held_twice", limit=limits.slots, **names)
    numbers = {
        "seqs": left.seqs,
        "tokens": tokens,
        "tokens_left": left.tokens,
        "slots": slots,
        "slots_left": left.slots,
    }
    kind = "room"
    if tokens == left.tokens or slots == left.slots:
        kind = "exact"
    elif held and all(map(_runs, batch)):
        kind = "static"
    raise Wrong(f"lesson_06.select_{kind}", **names, **numbers)


def _spent(pool: Sequence[Request]) -> tuple[int, int]:
    """Of those who run: tokens they have, and slots they hold, in all."""
    running = [request for request in pool if _runs(request)]
    return (
        sum(request.num_tokens for request in running),
        sum(request.max_total_tokens for request in running),
    )


# ---- from step to step ----------------------------------------------------------------------


def _play(select: Select, source: random.Random) -> None:
    """A run of twelve requests without a model: who is in the batch writes a token."""
    limits = Limits(source.randint(1, 6), source.randint(40, 80), source.randint(60, 160))
    pool = _pool([_waiting(source.randint(1, 30), source.randint(1, 20)) for _ in range(12)])
    coming = _by_arrival(pool)
    source.shuffle(pool)
    there = [request for request in pool if request in coming[:6]]
    for step in range(1000):
        if not there:
            return
        for request in _trial(select, there, limits):
            _advance(request)
        there = [r for r in there if r.num_output_tokens < r.max_tokens]
        if step < 6:
            there.insert(source.randint(0, len(there)), coming[6 + step])
    raise AssertionError("every step serves the first, so this ends")


def _in_the_engine(select: Select) -> None:
    """The pocket model, eight requests, one more at each step."""
    num_slots = 112

    def watched(pool: list[Request], seqs: int, tokens: int, slots: int) -> Sequence[Request]:
        return _trial(select, pool, Limits(seqs, tokens, slots))

    llm = LLM(
        _model(),
        scheduler=Selecting(watched),
        kv_cache="token",
        num_blocks=num_slots,
        max_num_seqs=3,
        max_num_batched_tokens=48,
        async_scheduling=False,
    )
    source = random.Random(7)
    for prompt, answer in ((12, 9), (20, 14), (8, 12), (30, 6), (5, 12), (40, 3), (9, 5), (16, 8)):
        params = SamplingParams(temperature=0, max_tokens=answer, ignore_eos=True)
        llm.engine.add_request([source.randrange(3, 1500) for _ in range(prompt)], params)
        llm.engine.step()
    while llm.engine.has_unfinished:
        llm.engine.step()


@cache
def _model() -> LoadedModel:
    return load_model("pocket")


EXERCISE = Exercise("select", "lesson_06", judge, prepare=_model)
