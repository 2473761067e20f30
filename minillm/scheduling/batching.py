"""Batching: what may share one forward pass. One short class per published idea."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Protocol

from minillm.events import ALL_RUNNING, ALL_WAITING, BATCH, WaitReason
from minillm.request import Request, Status
from minillm.scheduling.books import Books, Estimate
from minillm.scheduling.plan import Budget, Plan
from minillm.scheduling.ranked_plan import RankedPlan


class Batching(Protocol):
    chunked: ClassVar[bool]  # may a prompt be computed in several steps?
    runs_to_completion: ClassVar[bool]  # does a batch keep its slots until its last one ends?

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        """Fill `plan`. `waiting` is in the order in which the policy would admit."""
        ...


@dataclass(frozen=True)
class RunToCompletion:
    """Static batching (FasterTransformer): nobody joins until the whole batch has ended."""

    chunked: ClassVar[bool] = False
    runs_to_completion: ClassVar[bool] = True

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        if plan.running:
            plan.continue_prefills()
            plan.decode_all()
            plan.wait(ALL_WAITING, WaitReason.BATCH_NOT_FINISHED, (ALL_RUNNING,))
        else:
            plan.admit_in_order(waiting)


@dataclass(frozen=True)
class IterationLevel:
    """Orca (OSDI'22, Algorithm 1): the batch is chosen anew at every iteration. Whole prompts
    and decodes share it; a finished request leaves at once."""

    chunked: ClassVar[bool] = False
    runs_to_completion: ClassVar[bool] = False

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        plan.decode_all()
        plan.continue_prefills()
        plan.admit_in_order(waiting)


@dataclass(frozen=True)
class PrefillFirst:
    """vLLM (SOSP'23): if any prompt can be admitted the step is prefill-only and decodes stall;
    otherwise everything running decodes, with what comes back from swap."""

    chunked: ClassVar[bool] = False
    runs_to_completion: ClassVar[bool] = False

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        plan.continue_prefills()
        plan.admit_in_order(waiting)
        if any(not row.request.in_decode for row in plan.schedule.rows):
            if any(r.in_decode and r.status is Status.RUNNING for r in plan.running):
                plan.wait(ALL_RUNNING, WaitReason.PREFILL_IN_PROGRESS, (BATCH,))
        else:
            plan.decode_all()


@dataclass(frozen=True)
class ChunkedPrefill:
    """Sarathi-Serve (OSDI'24, Algorithm 3): decodes first, then prompts in chunks that fill what
    is left of the token budget. No decode ever stalls for a prefill."""

    chunked: ClassVar[bool] = True
    runs_to_completion: ClassVar[bool] = False

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        plan.decode_all()
        plan.continue_prefills()
        plan.admit_in_order(waiting)


class DecodeFirst(Books):
    """Decode-first: nobody new is merged into the batch while `min_running` requests decode
    (default: half of max_num_seqs). Answers flow undisturbed, newcomers pay for it."""

    chunked: ClassVar[bool] = False
    runs_to_completion: ClassVar[bool] = False

    def __init__(self, min_running: int | None = None) -> None:
        self._min_running = min_running

    def bind(self, estimate: Estimate, generator: Random, budget: Budget) -> None:
        if self._min_running is None:
            self._min_running = max(1, budget.max_num_seqs // 2)

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        plan.decode_all()
        plan.continue_prefills()
        decoding = sum(request.in_decode for request in plan.running)
        if self._min_running is not None and decoding >= self._min_running:
            plan.wait(ALL_WAITING, WaitReason.LOWER_PRIORITY, (ALL_RUNNING,))
        else:
            plan.admit_in_order(waiting)


@dataclass(frozen=True)
class ByRank:
    """Preemptive: at every iteration the first in the policy's order make the batch, whether they
    run already or wait; prompts in chunks. Needs a preemption that ranks: `LowestRankFirst`."""

    chunked: ClassVar[bool] = True
    runs_to_completion: ClassVar[bool] = False

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        _ranked(plan).serve_by_rank(waiting)


@dataclass(frozen=True)
class ByRankWhole(ByRank):
    """The same with whole prompts."""

    chunked: ClassVar[bool] = False


@dataclass(frozen=True)
class ByRankAhead(ByRankWhole):
    """FastServe: and where the engine swaps (preemption="swap"), it swaps ahead of need."""

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        waiting = list(waiting)
        ranked = _ranked(plan)
        ranked.serve_by_rank(waiting)
        ranked.swap_ahead(waiting)


def _ranked(plan: Plan) -> RankedPlan:
    if not isinstance(plan, RankedPlan):
        raise TypeError("this batching needs a preemption that ranks: LowestRankFirst()")
    return plan
