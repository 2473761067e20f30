"""The published systems, each a combination of four ideas. Adding a system is adding a row."""

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
    """One published system: its source, what to know of it, why one waits in it, and its parts.
    A part is made anew for each scheduler, because some of them keep books."""

    source: str
    about: str
    reasons: tuple[WaitReason, ...]
    batching: Callable[[], Batching]
    order: Callable[[], Order] = Arrival
    admission: Callable[[], Admission] = OnDemand
    preemption: Callable[[], Preemption] = YoungestFirst


_R = WaitReason
_RESOURCES = (_R.MAX_NUM_SEQS, _R.TOKEN_BUDGET, _R.NO_KV_BLOCKS, _R.HEAD_OF_LINE)

SYSTEMS: dict[str, System] = {
    "static": System(
        source="FasterTransformer",
        about="A batch is formed when the engine is empty and runs until its longest request "
        "ends. Requests that end earlier keep their slots and memory; arrivals wait for the "
        "whole batch. Memory for prompt + max_tokens is reserved at the start.",
        reasons=(_R.BATCH_NOT_FINISHED, *_RESOURCES),
        batching=RunToCompletion,
        admission=ReserveMax,
        preemption=Never,
    ),
    "orca": System(
        source="Orca, OSDI'22, Algorithm 1",
        about="The batch is chosen anew at every iteration: a request joins as soon as there is "
        "room and leaves as soon as it ends. Whole prompts share a step with decodes, which "
        "the long prompts slow down. Memory for prompt + max_tokens is reserved on admission.",
        reasons=_RESOURCES,
        batching=IterationLevel,
        admission=ReserveMax,
        preemption=Never,
    ),
    "vllm": System(
        source="vLLM, SOSP'23",
        about="First come, first served, prefill first: when anything can be admitted the step "
        "computes prompts only and running decodes stall. Memory is taken on demand, with a "
        "watermark of 1 %; when it runs out the youngest is preempted and recomputed.",
        reasons=(*_RESOURCES, _R.PREFILL_IN_PROGRESS, _R.PREEMPTED),
        batching=PrefillFirst,
    ),
    "decode_first": System(
        source="decode-prioritising batching, as surveys of LLM serving define it",
        about="The opposite of vllm: nobody new is merged into the batch while enough requests "
        "decode (by default half of max_num_seqs). Answers flow undisturbed; newcomers wait "
        "until the batch has thinned out, so the first token comes late.",
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=DecodeFirst,
    ),
    "sarathi": System(
        source="Sarathi-Serve, OSDI'24, Algorithm 3",
        about="Every decode runs in every step; prompts are cut into chunks that fill what is "
        "left of the token budget. Decodes never stall for a prefill, and a step's length is "
        "bounded by the budget. Memory on demand, youngest preempted.",
        reasons=(*_RESOURCES, _R.PREEMPTED),
        batching=ChunkedPrefill,
    ),
    "splitfuse": System(
        source="Dynamic SplitFuse, DeepSpeed-FastGen 2024",
        about="Every forward pass has the same size: long prompts are split, short ones are put "
        "together and split to fill it exactly, and only a shortage of work or memory makes it "
        "smaller. Memory is taken chunk by chunk, so that a prompt may begin before there is "
        "room for all of it; when it runs out the youngest gives way.",
        reasons=(*_RESOURCES, _R.PREEMPTED),
        batching=ChunkedPrefill,
        admission=ByChunk,
    ),
    "priority": System(
        source="preemptive priority scheduling, as in operating systems",
        about="The lower priority value goes first, at every step, ties by arrival. Who is "
        "outranked pauses and keeps its blocks until somebody before it needs them; then it is "
        "preempted and recomputed. Prompts in chunks. Low priority may starve.",
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRank,
        order=ByPriority,
        preemption=LowestRankFirst,
    ),
    "sjf": System(
        source="SSJF, 2024 (speculative shortest job first)",
        about="Of those who wait, the one whose answer is predicted to be shortest is admitted "
        "first; who runs is not interrupted for a shorter one. The mean falls, and long "
        "requests may starve. By this name the predictor is an oracle: the true length where "
        "the workload fixes it, else max_tokens.",
        reasons=(*_RESOURCES, _R.PREEMPTED),
        batching=ChunkedPrefill,
        order=ShortestPredicted,
    ),
    "srtf": System(
        source="shortest remaining time first, with predicted lengths",
        about="At every step those run whose answers have the fewest tokens left, by prediction. "
        "A short newcomer takes the place of a long one, which pauses with its blocks until "
        "they are needed. The best mean that can be had, if predictions are right; long "
        "requests may starve. By this name the predictor is an oracle, as for sjf.",
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRank,
        order=ShortestRemaining,
        preemption=LowestRankFirst,
    ),
    "ltr": System(
        source="learning-to-rank scheduling, NeurIPS'24",
        about="Shortest predicted first, at every step; only the order of the predictions "
        "matters. Who was passed over in a hundred steps running goes before all others until "
        "it has written twenty tokens, so that nobody starves. By this name the predictor is an "
        "oracle, as for sjf.",
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRank,
        order=lambda: StarvationGuard(ShortestPredicted()),
        preemption=LowestRankFirst,
    ),
    "mlfq": System(
        source="multi-level feedback queues, as in operating systems",
        about="No length is known. Everyone begins in the highest queue; who has used up the "
        "queue's quantum (10 ms, doubled with each queue) moves one down, and higher queues go "
        "first at every step. Short answers end before they sink. Who has sunk pauses with its "
        "blocks until they are needed, and may starve.",
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRankWhole,
        order=FeedbackQueues,
        preemption=LowestRankFirst,
    ),
    "fastserve": System(
        source="FastServe, 2023 (skip-join MLFQ)",
        about="As mlfq, but the prompt's length is known: a request joins the highest queue whose "
        "quantum is long enough for its prefill, in place of sinking there. Who has had no "
        "service for 3 s is promoted to the front of the highest queue, so that nobody starves. "
        "With preemption='swap' it also swaps ahead of need, as the paper does: enough blocks "
        "for a batch are kept free, the lowest of those who pause leave for CPU memory first, and "
        "the highest come back first, while the engine computes.",
        reasons=(*_RESOURCES, _R.LOWER_PRIORITY, _R.PREEMPTED),
        batching=ByRankAhead,
        order=SkipJoin,
        preemption=LowestRankFirst,
    ),
    "vtc": System(
        source="Virtual Token Counter, OSDI'24",
        about="Fair between clients: each has a counter of the tokens it was served (a prompt "
        "token counts 1, a generated one 2), and the client with the smallest counter is "
        "admitted next. An idle client saves nothing up. Nobody who runs is interrupted, as the "
        "paper assumes: memory for prompt + max_tokens is reserved.",
        reasons=(*_RESOURCES, _R.PREFILL_IN_PROGRESS),
        batching=PrefillFirst,
        order=VirtualTokenCounter,
        admission=ReserveMax,
        preemption=Never,
    ),
    "lightllm": System(
        source="LightLLM past-future scheduler, ASPLOS'25",
        about="Admits by the future: the lengths of answers that finished lately are drawn for "
        "everyone running, and a request is admitted when the highest memory need that follows "
        "stays below 95 %. Memory is nearly full and hardly anybody is evicted. The newest "
        "gives way when a draw was wrong.",
        reasons=(*_RESOURCES, _R.PREFILL_IN_PROGRESS, _R.PREEMPTED),
        batching=PrefillFirst,
        admission=PastFuture,
    ),
    "lightllm_conservative": System(
        source="baseline in the past-future paper, ASPLOS'25",
        about="Admits only when everyone could write all of its max_tokens and still fit. Nobody "
        "is ever evicted; much of the memory stays empty.",
        reasons=(*_RESOURCES, _R.PREFILL_IN_PROGRESS),
        batching=PrefillFirst,
        admission=Conservative,
        preemption=Never,
    ),
    "lightllm_aggressive": System(
        source="baseline in the past-future paper, ASPLOS'25",
        about="Admits whoever fits now, up to 99 % of memory, as if nobody wrote another token. "
        "Memory is full; then the newest are evicted and computed again, many times over.",
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
