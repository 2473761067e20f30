"""Workloads made to order: lengths from one distribution, arrivals from another, all seeded."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from minillm.workload.arrivals import bursts, fixed, gamma
from minillm.workload.lengths import Dataset, Lengths, get_lengths
from minillm.workload.spec import RequestSpec


def synthetic(
    num_requests: int,
    lengths: str | tuple[int, int] | Lengths = "sharegpt",
    *,
    rate: float | None = None,
    burstiness: float | None = None,
    burst_size: int | None = None,
    steady: bool = False,
    max_tokens: int | None = None,
    max_total_len: int | None = None,
    clients: Sequence[str] | None = None,
    priorities: Sequence[int] | None = None,
    seed: int = 0,
) -> list[RequestSpec]:
    """`num_requests` requests; the same arguments give the same requests.

    `lengths`: see `get_lengths`. `rate`: requests per second, infinite for all at once; by default
    the data set's own, or 1. Gaps are gamma-distributed with `burstiness` (by default the data
    set's, 1 is Poisson), or constant (`steady`), or requests come `burst_size` at a time.
    `max_total_len` caps prompt + output by cutting first the prompt. Client and priority of each
    request are drawn evenly from `clients` and `priorities`.
    """
    rng = random.Random(seed)
    source = get_lengths(lengths)
    own = source if isinstance(source, Dataset) else None
    rate = rate or (own.rate if own else None) or 1.0
    burstiness = burstiness or (own.cv**-2 if own else 1.0)
    if steady or math.isinf(rate):
        times = fixed(num_requests, rate)
    elif burst_size is not None:
        times = bursts(num_requests, rate, burst_size)
    else:
        times = gamma(num_requests, rate, burstiness, rng)
    specs = []
    for time in times:
        prompt_len, output_len = source.sample(rng)
        if max_total_len is not None and prompt_len + output_len > max_total_len:
            prompt_len = max(1, min(prompt_len, max_total_len - output_len))
            output_len = min(output_len, max_total_len - prompt_len)
        specs.append(
            RequestSpec(
                arrival_time=time,
                prompt_len=prompt_len,
                output_len=output_len,
                max_tokens=max_tokens,
                client=rng.choice(clients) if clients else None,
                priority=rng.choice(priorities) if priorities else 0,
            )
        )
    return specs
