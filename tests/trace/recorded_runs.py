"""Runs of the real engine on the checking executor, recorded, for tests to read back."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
from fakes import CheckingExecutor, fake_engine

from minillm.engine import Engine
from minillm.moves import NO_MOVES
from minillm.request import RequestRejected, SamplingParams
from minillm.scheduling import SYSTEMS
from minillm.trace import Header, Recorder


def header_for(engine: Engine, **more: Any) -> Header:
    config = engine.config
    more = {"kv_cache": config.kv_cache, "kv_bytes_per_token": 123_457} | more
    return Header(
        scheduler=engine.scheduler.name,
        block_size=config.block_size,
        num_blocks=config.num_blocks,
        max_num_seqs=config.max_num_seqs,
        max_num_batched_tokens=config.max_num_batched_tokens,
        max_model_len=config.max_model_len,
        prefix_caching=config.enable_prefix_caching,
        reserve=config.reserve,
        num_cpu_blocks=config.num_cpu_blocks,
        **more,
    )


class UnevenExecutor(CheckingExecutor):
    """Steps of prime-ish lengths, so that shares of them do not come out even."""

    def execute(self, rows: Any, moves: Any = NO_MOVES) -> Any:
        self.seconds = (3_000_017 + 70_001 * sum(row.num_new_tokens for row in rows)) / 1e9
        result = super().execute(rows, moves)
        result.transfer_seconds = 61_003 * moves.num_swapped / 1e9
        return result


def record(
    scheduler: str = "sarathi",
    *,
    seed: int = 0,
    requests: int = 12,
    path: str | os.PathLike[str] | None = None,
    close: bool = True,
    abort: float = 0.0,
    fork: float = 0.0,
    fail_at: Sequence[int] = (),
    **settings: Any,
) -> Recorder:
    """Serve `requests` random ones, some with a common start, and return the recorder.

    `abort`: the chance, per step, that some request is aborted; `fork`: that a request asks for
    several answers; `fail_at`: steps in which the model fails. `num_blocks` counts four tokens.
    """
    settings = {"block_size": 4, "num_blocks": 30, "max_num_seqs": 5, **settings}
    if settings.get("kv_cache") == "token":
        settings |= {"block_size": 1, "num_blocks": 4 * settings["num_blocks"]}
    executor = UnevenExecutor(settings["block_size"], fail_at=fail_at)
    engine = fake_engine(scheduler, executor=executor, **settings)
    recorder = Recorder(header_for(engine), path)
    engine.hooks.on("step", recorder.on_step)
    rng = random.Random(seed)
    arrivals, now = [], 0
    for _ in range(requests):
        now += rng.choice([0, rng.randrange(8_000_000), rng.randrange(90_000_000)])
        arrivals.append(now)
    number = 0
    while number < len(arrivals) or engine.has_unfinished:
        if not engine.has_unfinished:
            engine.clock.advance_to(arrivals[number])
        while number < len(arrivals) and arrivals[number] <= engine.clock.now:
            prompt = [1] * rng.choice([0, 8, 16]) + rng.choices(range(50), k=rng.randrange(1, 40))
            max_tokens = rng.randrange(1, 20)
            n = rng.randrange(2, 5) if rng.random() < fork else 1
            sampling = SamplingParams(n=n, temperature=0, max_tokens=max_tokens)
            with contextlib.suppress(RequestRejected):
                engine.add_request(
                    prompt,
                    sampling,
                    request_id=f"r{number}",
                    prompt=f"prompt <{number}> é",
                    arrival_time=arrivals[number],
                )
            number += 1
        if rng.random() < abort and number:
            engine.abort(f"r{rng.randrange(number)}")
        if engine.has_unfinished:
            engine.step()
    if close:
        recorder.close(engine.pending_events, time=engine.clock.now)
    return recorder


MEMORIES: list[dict[str, Any]] = [
    {"kv_cache": "paged"},
    {"kv_cache": "paged", "enable_prefix_caching": False},
    {"kv_cache": "token", "enable_prefix_caching": True},
    *({"kv_cache": "contiguous", "reserve": reserve} for reserve in ("max", "pow2")),
]
SWAPS: list[dict[str, Any]] = [
    {},
    *({"preemption": "swap", "num_cpu_blocks": blocks} for blocks in (3, 12, 60)),
]

runs = st.builds(
    lambda scheduler, memory, swap, **settings: record(scheduler, **memory, **swap, **settings),
    st.sampled_from(sorted(SYSTEMS)),
    st.sampled_from(MEMORIES),
    st.sampled_from(SWAPS),
    seed=st.integers(0, 10_000),
    requests=st.integers(1, 20),
    num_blocks=st.integers(12, 40),
    max_num_seqs=st.integers(1, 6),
    fork=st.sampled_from([0.0, 0.3]),
)
"""A closed recording of a random run."""
