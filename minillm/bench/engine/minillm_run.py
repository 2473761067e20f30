"""minillm serving the requests of a benchmark, as `LLM.generate` does by default."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minillm.bench.engine.requests import Request
from minillm.bench.engine.stopwatch import Seconds, Stopwatch
from minillm.events import Step
from minillm.execution.loaded_model import LoadedModel
from minillm.llm import LLM
from minillm.request import SamplingParams
from minillm.scheduling.plan import Schedule


@dataclass(slots=True)
class StepSizes:
    """What each step computed: tokens, rows whose logits were needed, and for steps of decodes
    alone the tokens of context and the seconds."""

    tokens: list[int] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)
    decodes: list[tuple[int, float]] = field(default_factory=list)
    _contexts: deque[int | None] = field(default_factory=deque)  # of steps under way

    def clear(self) -> None:
        for each in (self.tokens, self.sampled, self.decodes, self._contexts):
            each.clear()

    def scheduled(self, schedule: Schedule) -> None:
        rows = schedule.rows
        self.tokens.append(sum(row.num_new_tokens for row in rows))
        self.sampled.append(sum(row.samples for row in rows))
        only_decodes = all(row.request.in_decode for row in rows)
        read = sum(row.request.num_computed_tokens + 1 for row in rows)
        self._contexts.append(read if only_decodes else None)

    def stepped(self, step: Step) -> None:
        context = self._contexts.popleft()  # a later step may be scheduled already
        if context is not None:
            self.decodes.append((context, step.duration / 1e9))


def serve(
    loaded: LoadedModel,
    requests: Sequence[Request],
    *,
    temperature: float = 0.0,
    sizes: StepSizes | None = None,
    **settings: Any,
) -> Seconds:
    """A fresh engine, so that nothing is cached, serves `requests`; recording is on, as always.
    `sizes` hears of its steps, `settings` are those of `LLM`. Making the engine is not part of the
    time."""
    longest = max(len(request.prompt) + request.output_len for request in requests)
    llm = LLM(loaded, max_model_len=min(loaded.max_model_len, longest), **settings)
    if sizes is not None:
        llm.engine.hooks.on("scheduled", sizes.scheduled)
        llm.engine.hooks.on("step", sizes.stepped)
    params = [
        SamplingParams(temperature=temperature, max_tokens=request.output_len, ignore_eos=True)
        for request in requests
    ]
    with Stopwatch(loaded.device) as watch:
        llm.generate([request.prompt for request in requests], params)
    return watch.seconds
