"""Feeding a workload to an engine, by the engine's own clock."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from minillm.chat import encode_prompt
from minillm.engine import Engine
from minillm.events import Step
from minillm.request import RequestRejected, SamplingParams
from minillm.workload.spec import RequestSpec


class WorkloadDriver:
    """Adds each request when its time has come, and steps the engine.

    A request that arrives during a step becomes visible at the step's end and keeps its own
    arrival time. When the engine is idle the clock moves to the next arrival. A request that is
    rejected at the door is recorded as such, and the run goes on.
    """

    def __init__(self, engine: Engine, workload: Iterable[RequestSpec]) -> None:
        self.engine = engine
        self._pending = deque(sorted(workload, key=lambda spec: spec.arrival_time))
        self.num_requests = len(self._pending)
        self.rejections: list[str] = []
        self._random = random.Random(engine.config.seed)

    @property
    def finished(self) -> bool:
        """True when every request has arrived and left."""
        return not self._pending and not self.engine.has_unfinished

    @property
    def num_pending(self) -> int:
        """Requests that have not arrived yet."""
        return len(self._pending)

    def step(self) -> Step | None:
        """Add what has arrived, then one engine step. None when there is nothing to do, or the
        executor failed (see `Engine.step`)."""
        clock = self.engine.clock
        self._add_arrived()
        while self._pending and not self.engine.has_unfinished:
            clock.advance_to(round(self._pending[0].arrival_time * 1e9))
            self._add_arrived()
        return self.engine.step()

    def _add_arrived(self) -> None:
        while self._pending and round(self._pending[0].arrival_time * 1e9) <= self.engine.clock.now:
            spec = self._pending.popleft()
            try:
                self._add(spec)
            except RequestRejected as refusal:
                self.rejections.append(str(refusal))

    def _add(self, spec: RequestSpec) -> None:
        engine = self.engine
        sampling = replace(spec.sampling, max_tokens=spec.max_tokens or spec.sampling.max_tokens)
        text: str | None = None
        if spec.prompt is not None:
            text, token_ids = encode_prompt(spec.prompt, engine.tokenizer)
        else:
            token_ids = self._random_tokens(spec.prompt_len or 0)
            sampling = _fixed_length(sampling, spec)
        engine.add_request(
            token_ids,
            sampling,
            prompt=text,
            arrival_time=round(spec.arrival_time * 1e9),
            client=spec.client,
            priority=spec.priority,
        )

    def _random_tokens(self, count: int) -> list[int]:
        size = 256 if self.engine.tokenizer is None else len(self.engine.tokenizer)
        return [self._random.randrange(size) for _ in range(count)]


def _fixed_length(sampling: SamplingParams, spec: RequestSpec) -> SamplingParams:
    length = min(spec.output_len or 1, spec.max_tokens or 1 << 60)
    return replace(sampling, max_tokens=length, min_tokens=0, ignore_eos=True)
