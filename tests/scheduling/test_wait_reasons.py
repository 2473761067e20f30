"""Wait reasons are true. Counterfactual: giving the engine what the reason names admits the
request, or makes the next missing resource the reason; giving it anything else does not."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from fakes import fake_engine
from hypothesis import given, settings

from minillm.engine import Engine
from minillm.events import ALL_RUNNING, Admitted, Step, Wait, WaitReason
from minillm.kv_cache import PagedKVCache
from minillm.kv_cache.contiguous import ContiguousKVCache
from minillm.request import RequestRejected, SamplingParams, Status
from minillm.scheduling import SYSTEMS
from minillm.trace.fold import State, apply

PLENTY = 10_000
LONG_RUN = 1 << 14


def more_budget(engine: Engine) -> None:
    engine.budget = replace(engine.budget, max_num_batched_tokens=PLENTY)


def more_slots(engine: Engine) -> None:
    engine.budget = replace(engine.budget, max_num_seqs=PLENTY)


def more_blocks(engine: Engine) -> None:
    kv_cache = engine.kv_cache
    if isinstance(kv_cache, ContiguousKVCache):  # one long run, far away from the others
        kv_cache.num_blocks += LONG_RUN
        kv_cache.buddies.num_free += LONG_RUN
        kv_cache.buddies._free[LONG_RUN] = [LONG_RUN]
        return
    assert isinstance(kv_cache, PagedKVCache)
    pool = kv_cache.pool
    first = len(pool.ref_counts)
    kv_cache.num_blocks = pool.num_blocks = first + PLENTY
    pool.ref_counts.extend([0] * PLENTY)
    pool._keys.extend([None] * PLENTY)
    pool._ids.extend([0] * PLENTY)
    pool._free.extend(range(first, first + PLENTY))


GIFTS = {
    WaitReason.TOKEN_BUDGET: more_budget,
    WaitReason.MAX_NUM_SEQS: more_slots,
    WaitReason.NO_KV_BLOCKS: more_blocks,
    WaitReason.FRAGMENTED: more_blocks,
}


def grant(engine: Engine, wait: Wait) -> None:
    """Give what `wait` names."""
    if wait.reason in GIFTS:
        GIFTS[wait.reason](engine)
    else:  # BATCH_NOT_FINISHED, HEAD_OF_LINE, LOWER_PRIORITY: those in the way leave
        for holder in wait.holders:
            engine.abort(holder)


@pytest.mark.parametrize("scheduler", SYSTEMS)
@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(0, 14),
    blocks=st.integers(6, 24),
    budget=st.integers(6, 30),
    slots=st.integers(1, 5),
    kv_cache=st.sampled_from(["paged", "token", "contiguous"]),
    preemption=st.sampled_from(["recompute", "swap"]),
)
@settings(max_examples=60, deadline=None)
def test_wait_reasons_are_true(
    scheduler: str,
    seed: int,
    steps: int,
    blocks: int,
    budget: int,
    slots: int,
    kv_cache: str,
    preemption: str,
) -> None:
    rng = random.Random(seed)
    engine = fake_engine(
        scheduler,
        model_max_len=64,
        kv_cache=kv_cache,
        preemption=preemption,
        block_size=1 if kv_cache == "token" else 4,
        num_blocks=4 * blocks if kv_cache == "token" else blocks,
        max_num_batched_tokens=budget,
        max_num_seqs=slots,
        enable_prefix_caching=False,
    )
    state = State(None)
    for _ in range(steps + 4):
        try:
            engine.add_request(
                [1] * rng.randint(1, 20),
                SamplingParams(max_tokens=rng.randint(1, 12)),
                client=rng.choice("ab"),
                priority=rng.randint(0, 2),
            )
        except RequestRejected:
            continue
        if rng.random() < 0.7 and (step := engine.step()) is not None:
            state = apply(state, step)
    if not engine.has_unfinished:
        return
    before = copy.deepcopy(engine)
    step = engine.step()
    assert step is not None
    waits = apply(state, step).waits_by_sequence()
    for request in [r for r in before.waiting if r.status is Status.WAITING]:
        name = request.request_id
        if name not in waits:
            continue
        wait = waits[name]
        possible = SYSTEMS[scheduler].reasons
        assert wait.reason in possible or (
            wait.reason is WaitReason.FRAGMENTED and kv_cache == "contiguous"
        )
        assert wait.holders
        granted = copy.deepcopy(before)
        grant(granted, wait)
        if granted.has_unfinished:
            result = granted.step()
            assert result is not None
            if not admitted(result, name):
                changed = effective(granted, result, name)
                assert changed != (wait.reason, wait.holders), f"{wait} was given, and it remains"
        for reason, gift in GIFTS.items():
            if gift is not GIFTS.get(wait.reason):
                other = copy.deepcopy(before)
                gift(other)
                result = other.step()
                assert result is not None
                behind = wait.reason is WaitReason.HEAD_OF_LINE
                assert behind or not served(result, name), f"{wait}, yet {reason} admits it"


def admitted(step: Step, name: str) -> bool:
    return any(isinstance(event, Admitted) and event.id == name for event in step.events)


def served(step: Step, name: str) -> bool:
    """In the batch; one that merely came back from swap, ahead of need, still waits its turn."""
    return name in dict(step.prefills) or name in step.tokens


def effective(engine: Engine, step: Step, name: str) -> tuple[WaitReason, tuple[str, ...]] | None:
    """Reason and holders now in force for `name`, from the step's own record."""
    waits = step.waits if step.waits is not None else engine._last_waits
    own = next((w for w in waits if w.who == name), None)
    wait = own or next((w for w in waits if w.who == "*waiting"), None)
    assert wait is None or wait.who != ALL_RUNNING
    return None if wait is None else (wait.reason, wait.holders)
