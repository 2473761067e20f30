"""The published systems, each a combination of the four ideas. Adding a system is adding a row."""

from __future__ import annotations

from dataclasses import dataclass

from minillm.config import ConfigError, closest
from minillm.events import WaitReason
from minillm.scheduling.admission import Admission, OnDemand, ReserveMax
from minillm.scheduling.batching import (
    Batching,
    ChunkedPrefill,
    IterationLevel,
    PrefillFirst,
    RunToCompletion,
)
from minillm.scheduling.preemption import Never, Preemption, YoungestFirst
from minillm.scheduling.scheduler import Scheduler


@dataclass(frozen=True)
class System:
    """One published system: its parts, its source, what to know of it, and why one waits in it."""

    source: str
    about: str
    batching: Batching
    admission: Admission
    preemption: Preemption
    reasons: tuple[WaitReason, ...]


_R = WaitReason

SYSTEMS: dict[str, System] = {
    "static": System(
        source="FasterTransformer",
        about="A batch is formed when the engine is empty and runs until its longest request "
        "ends. Requests that end earlier keep their slots and memory; arrivals wait for the "
        "whole batch. Memory for prompt + max_tokens is reserved at the start.",
        batching=RunToCompletion(),
        admission=ReserveMax(),
        preemption=Never(),
        reasons=(
            _R.BATCH_NOT_FINISHED,
            _R.MAX_NUM_SEQS,
            _R.TOKEN_BUDGET,
            _R.NO_KV_BLOCKS,
            _R.HEAD_OF_LINE,
        ),
    ),
    "orca": System(
        source="Orca, OSDI'22, Algorithm 1",
        about="The batch is chosen anew at every iteration: a request joins as soon as there is "
        "room and leaves as soon as it ends. Whole prompts share a step with decodes, which "
        "the long prompts slow down. Memory for prompt + max_tokens is reserved on admission.",
        batching=IterationLevel(),
        admission=ReserveMax(),
        preemption=Never(),
        reasons=(_R.MAX_NUM_SEQS, _R.TOKEN_BUDGET, _R.NO_KV_BLOCKS, _R.HEAD_OF_LINE),
    ),
    "vllm": System(
        source="vLLM, SOSP'23",
        about="First come, first served, prefill first: when anything can be admitted the step "
        "computes prompts only and running decodes stall. Memory is taken on demand, with a "
        "watermark of 1 %; when it runs out the youngest is preempted and recomputed.",
        batching=PrefillFirst(),
        admission=OnDemand(),
        preemption=YoungestFirst(),
        reasons=(
            _R.MAX_NUM_SEQS,
            _R.TOKEN_BUDGET,
            _R.NO_KV_BLOCKS,
            _R.HEAD_OF_LINE,
            _R.PREFILL_IN_PROGRESS,
            _R.PREEMPTED,
        ),
    ),
    "sarathi": System(
        source="Sarathi-Serve, OSDI'24, Algorithm 3",
        about="Every decode runs in every step; prompts are cut into chunks that fill what is "
        "left of the token budget. Decodes never stall for a prefill, and a step's length is "
        "bounded by the budget. Memory on demand, youngest preempted.",
        batching=ChunkedPrefill(),
        admission=OnDemand(),
        preemption=YoungestFirst(),
        reasons=(
            _R.MAX_NUM_SEQS,
            _R.TOKEN_BUDGET,
            _R.NO_KV_BLOCKS,
            _R.HEAD_OF_LINE,
            _R.PREEMPTED,
        ),
    ),
}


class NamedScheduler(Scheduler):
    """A `Scheduler` with the parts and the name of one of `SYSTEMS`."""

    def __init__(self, name: str) -> None:
        system = SYSTEMS[name]
        super().__init__(
            batching=system.batching, admission=system.admission, preemption=system.preemption
        )
        self._name = name

    @property
    def name(self) -> str:
        return self._name


def make_scheduler(scheduler: str | Scheduler) -> Scheduler:
    """A scheduler by the name of a system, or the instance given."""
    if isinstance(scheduler, Scheduler):
        return scheduler
    if isinstance(scheduler, type):
        raise ConfigError(f"pass an instance: {scheduler.__name__}(), not the class itself.")
    if scheduler not in SYSTEMS:
        raise ConfigError(
            f"unknown scheduler {scheduler!r}.{closest(scheduler, SYSTEMS)} "
            f"Known: {', '.join(SYSTEMS)}, or an instance of a Scheduler of your own."
        )
    return NamedScheduler(scheduler)
