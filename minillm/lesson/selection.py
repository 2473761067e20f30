"""A student's choice of each step's batch, in the real engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from minillm.events import ALL_RUNNING, ALL_WAITING, BATCH, WaitReason
from minillm.request import Request, Status
from minillm.scheduling import Plan, Scheduler
from minillm.scheduling.admission import ReserveMax
from minillm.scheduling.batching import IterationLevel
from minillm.scheduling.preemption import Never

Select = Callable[[list[Request], int, int, int], Sequence[Request]]
"""select(pool, max_num_seqs, max_num_batched_tokens, num_slots): who takes part in the next step,
of all requests that wait or run; `num_slots` KV slots are there, in all."""


class Selecting(Scheduler):
    """Orca's, but for the choice: `select` makes it anew at every step. Who was waiting and is
    chosen is admitted, with memory for prompt + max_tokens; nobody is preempted."""

    def __init__(self, select: Select) -> None:
        super().__init__(batching=IterationLevel(), admission=ReserveMax(), preemption=Never())
        self._select = select

    def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
        limits = plan.budget.max_num_seqs, plan.budget.max_num_batched_tokens
        num_slots = plan.kv_cache.num_blocks * plan.kv_cache.block_size
        pool = [*plan.running, *waiting]
        chosen = list(self._select(list(pool), *limits, num_slots))
        for request in chosen:
            if request.status is Status.RUNNING:
                plan.decode(request)
            elif not plan.admit(request):  # in whole blocks it does not fit: the plan has said so
                return
        self._explain(plan, [request for request in pool if request not in chosen])

    def _explain(self, plan: Plan, left: Sequence[Request]) -> None:
        """Why the first of those who are left out waits, and so all behind it."""
        waiting = [request for request in left if request.status is Status.WAITING]
        if not waiting:
            return
        first, needs, tokens_left = waiting[0], waiting[0].num_uncomputed_tokens, plan.tokens_left
        if len(plan.schedule.rows) >= plan.budget.max_num_seqs:
            plan.wait(ALL_WAITING, WaitReason.MAX_NUM_SEQS, (ALL_RUNNING,), 1, 0)
        elif tokens_left < 1:
            plan.wait(ALL_WAITING, WaitReason.TOKEN_BUDGET, (BATCH,), 1, 0)
        elif needs > tokens_left:
            plan.wait(first.request_id, WaitReason.TOKEN_BUDGET, (BATCH,), needs, tokens_left)
        else:
            plan.wait(first.request_id, WaitReason.NO_KV_BLOCKS, (ALL_RUNNING,))
        plan.wait(ALL_WAITING, WaitReason.HEAD_OF_LINE, (first.request_id,))
