"""Feeding a workload to an engine, by the engine's own clock."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from minillm.chat import encode_prompt
from minillm.engine import Engine, EngineStuck
from minillm.events import Step
from minillm.execution.simulated import SimulatedExecutor
from minillm.request import RequestRejected, SamplingParams
from minillm.workload.spec import RequestSpec


class WorkloadDriver:
    """Adds each request when its time has come, and steps the engine.

    A request that arrives during a step becomes visible at the step's end and keeps its own
    arrival time. When the engine is idle the clock moves to the next arrival. A request that is
    rejected at the door is recorded as such, and the run goes on.

    With `max_concurrency` the loop is closed: a request is sent only when fewer than so many are
    in the engine, and that moment is its arrival.
    """

    def __init__(
        self,
        engine: Engine,
        workload: Iterable[RequestSpec],
        *,
        max_concurrency: int | None = None,
    ) -> None:
        if max_concurrency is not None and max_concurrency < 1:
            raise ValueError(f"max_concurrency must be at least 1, got {max_concurrency}")
        self.engine = engine
        self.max_concurrency = max_concurrency
        self._simulated = isinstance(engine.executor, SimulatedExecutor)
        self._pending = deque(sorted(workload, key=lambda spec: spec.arrival_time))
        self._next = self._next_arrival()
        self.num_requests = len(self._pending)
        self.rejections: list[str] = []
        self._random = random.Random(engine.config.seed)

    @property
    def finished(self) -> bool:
        """True when every request has arrived and left."""
        return not self._pending and not self.engine.has_unfinished

    def step(self) -> Step | None:
        """Add what has arrived, then one engine step. None when there is nothing to do, or the
        executor failed (see `Engine.step`)."""
        engine = self.engine
        if self._next <= engine.clock.now:
            self._add_arrived()
        while self._pending and not engine.has_unfinished:
            engine.clock.advance_to(self._next)
            self._add_arrived()
        while True:
            try:
                return engine.step()
            except EngineStuck:  # a policy may wait for company, as long as there is some to come
                if not self._pending:
                    raise
                engine.clock.advance_to(self._next)
                self._add_arrived()

    def _next_arrival(self) -> int:
        """Engine ns at which the first pending request arrives; beyond all times if there is
        none."""
        return round(self._pending[0].arrival_time * 1e9) if self._pending else 1 << 63

    def _add_arrived(self) -> None:
        engine, limit = self.engine, self.max_concurrency
        while self._next <= engine.clock.now:
            if limit is not None and len(engine.waiting) + len(engine.running) >= limit:
                return
            spec, arrival = self._pending.popleft(), self._next
            self._next = self._next_arrival()
            try:
                self._add(spec, arrival if limit is None else engine.clock.now)
            except RequestRejected as refusal:  # by the engine, which has recorded it
                self.rejections.append(str(refusal))
            except ValueError as refusal:  # not even a request: nothing to tokenise it with, …
                engine.refuse(str(refusal), arrival)
                self.rejections.append(str(refusal))

    def _add(self, spec: RequestSpec, arrival: int) -> None:
        engine = self.engine
        if self._simulated:
            self._add_simulated(spec, arrival)
            return
        sampling = replace(spec.sampling, max_tokens=spec.max_tokens or spec.sampling.max_tokens)
        text: str | None = None
        if spec.prompt is not None:
            text, token_ids = encode_prompt(spec.prompt, engine.tokenizer, template_optional=True)
        else:
            token_ids = self._tokens(spec)
            sampling = _fixed_length(sampling, spec)
        engine.add_request(
            token_ids,
            sampling,
            prompt=text,
            arrival_time=arrival,
            client=spec.client,
            priority=spec.priority,
        )

    def _add_simulated(self, spec: RequestSpec, arrival: int) -> None:
        if spec.prompt_len is None:
            raise ValueError(
                "simulated time serves lengths: give prompt_len and output_len, not a prompt"
            )
        sampling = spec.sampling
        if spec.max_tokens is not None:
            sampling = replace(sampling, max_tokens=spec.max_tokens)
        self.engine.add_request(
            None,
            sampling,
            num_prompt_tokens=spec.prompt_len,
            true_output_len=spec.output_len,
            content_ids=spec.content_ids(self.engine.config.block_size),
            arrival_time=arrival,
            client=spec.client,
            priority=spec.priority,
        )

    def _tokens(self, spec: RequestSpec) -> list[int]:
        """Seeded random tokens; the pieces that requests share are the same in each of them."""
        tokens: list[int] = []
        for name, count in spec.shared_pieces():
            generator = random.Random(f"{self.engine.config.seed} {name}")
            tokens += self._random_tokens(count, generator)
        return tokens + self._random_tokens((spec.prompt_len or 0) - len(tokens), self._random)

    def _random_tokens(self, count: int, generator: random.Random) -> list[int]:
        size = self.engine.vocab_size or len(self.engine.tokenizer or range(256))
        return [generator.randrange(size) for _ in range(count)]


def _fixed_length(sampling: SamplingParams, spec: RequestSpec) -> SamplingParams:
    length = min(spec.output_len or 1, spec.max_tokens or 1 << 60)
    return replace(sampling, max_tokens=length, min_tokens=0, ignore_eos=True)
