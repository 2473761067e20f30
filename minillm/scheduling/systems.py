"""The published systems, each a combination of four ideas. Adding a system is adding a row, and to
the catalogues its source and a paragraph on it: `say(language, f"systems.{name}.about")`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from minillm.config import ConfigError, closest
from minillm.events import WaitReason
from minillm.scheduling.admission import Admission, ByChunk, OnDemand, ReserveMax
from minillm.scheduling.batching import (
    Batching,
    ByRank,
    ByRankAhead,
    ByRankWhole,
    ChunkedPrefill,
    DecodeFirst,
    IterationLevel,
    PrefillFirst,
    RunToCompletion,
)
from minillm.scheduling.fairness import VirtualTokenCounter
from minillm.scheduling.feedback import FeedbackQueues, SkipJoin
from minillm.scheduling.order import (
    Arrival,
    ByPriority,
    Order,
    ShortestPredicted,
    ShortestRemaining,
    StarvationGuard,
)
from minillm.scheduling.peak import Aggressive, Conservative, PastFuture
from minillm.scheduling.preemption import LowestRankFirst, Never, Preemption, YoungestFirst
from minillm.scheduling.scheduler import Scheduler


@dataclass(frozen=True)
class System:
    """One published system: why one waits in it, and its parts. A part is made anew for each
    scheduler, because some of them keep books."""

    reasons: tuple[WaitReason, ...]
    batching: Callable[[], Batching]
    order: Callable[[], Order] = Arrival
    admission: Callable[[], Admission] = OnDemand
    preemption: Callable[[], Preemption] = YoungestFirst


_R = WaitReason
_RESOURCES = (_R.MAX_NUM_SEQS, _R.TOKEN_BUDGET, _R.NO_KV_BLOCKS, _R.HEAD_OF_LINE)

SYSTEMS: dict[str, System] = {
    "static": System(
        reasons=(_R.BATCH_NOT_FINISHED, *_RESOURCES),
        batching=RunToCompletion,
        admission=ReserveMax,
        preemption=Never,
    ),
    "orca": System(
        reasons=_RESOURCES,
        batching=IterationLevel,
        admission=ReserveMax,
        preemption=Never,
    ),
    "vllm": System(
        reasons=(*_RESOURCES, _R.PREFILL_IN_PROGRESS, _R.PREEMPTED),
        batching=PrefillFirst,
    ),
    "decode_first": System(
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=DecodeFirst,
    ),
    "sarathi": System(
        reasons=(*_RESOURCES, _R.PREEMPTED),
        batching=ChunkedPrefill,
    ),
    "splitfuse": System(
        reasons=(*_RESOURCES, _R.PREEMPTED),
        batching=ChunkedPrefill,
        admission=ByChunk,
    ),
    "priority": System(
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRank,
        order=ByPriority,
        preemption=LowestRankFirst,
    ),
    "sjf": System(
        reasons=(*_RESOURCES, _R.PREEMPTED),
        batching=ChunkedPrefill,
        order=ShortestPredicted,
    ),
    "srtf": System(
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRank,
        order=ShortestRemaining,
        preemption=LowestRankFirst,
    ),
    "ltr": System(
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRank,
        order=lambda: StarvationGuard(ShortestPredicted()),
        preemption=LowestRankFirst,
    ),
    "mlfq": System(
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRankWhole,
        order=FeedbackQueues,
        preemption=LowestRankFirst,
    ),
    "fastserve": System(
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRankAhead,
        order=SkipJoin,
        preemption=LowestRankFirst,
    ),
    "vtc": System(
        reasons=(*_RESOURCES, _R.PREFILL_IN_PROGRESS),
        batching=PrefillFirst,
        order=VirtualTokenCounter,
        admission=ReserveMax,
        preemption=Never,
    ),
    "lightllm": System(
        reasons=(*_RESOURCES, _R.PREFILL_IN_PROGRESS, _R.PREEMPTED),
        batching=PrefillFirst,
        admission=PastFuture,
    ),
    "lightllm_conservative": System(
        reasons=(*_RESOURCES, _R.PREFILL_IN_PROGRESS),
        batching=PrefillFirst,
        admission=Conservative,
        preemption=Never,
    ),
    "lightllm_aggressive": System(
        reasons=(*_RESOURCES, _R.PREFILL_IN_PROGRESS, _R.PREEMPTED),
        batching=PrefillFirst,
        admission=Aggressive,
    ),
}


class NamedScheduler(Scheduler):
    """A `Scheduler` with the parts and the name of one of `SYSTEMS`."""

    def __init__(self, name: str) -> None:
        system = SYSTEMS[name]
        super().__init__(
            batching=system.batching(),
            order=system.order(),
            admission=system.admission(),
            preemption=system.preemption(),
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
