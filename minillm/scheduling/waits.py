"""Completing a schedule's waits, so that nobody waits without a recorded reason."""

from __future__ import annotations

from collections.abc import Sequence

from minillm.events import ALL_RUNNING, ALL_WAITING, BATCH, Wait, WaitReason
from minillm.request import Request, Status
from minillm.scheduling.plan import Schedule


def complete_waits(
    schedule: Schedule, waiting: Sequence[Request], running: Sequence[Request], num_live: int
) -> tuple[Wait, ...]:
    """The waits of a step whose `schedule` has been applied to `waiting` and `running`, of which
    `num_live` still generate.

    The built-in policies cover everyone already. A policy of a user's own may forget some, or
    stall only part of the running sequences: each of those gets an entry of its own, because the
    record says that `ALL_RUNNING` waits only when *no* sequence decodes.
    """
    stalled = len(schedule.rows) < num_live
    if not stalled and not waiting and not schedule.waits:
        return ()
    waits = list(schedule.waits)
    group = next((wait for wait in waits if wait.who == ALL_RUNNING), None)
    if group is not None and any(row.request.in_decode for row in schedule.rows):
        waits.remove(group)
    named = {wait.who for wait in waits}
    if stalled and ALL_RUNNING not in named:
        reason = group.reason if group else WaitReason.LOWER_PRIORITY
        holders = group.holders if group else (BATCH,)
        in_batch = {row.request.request_id for row in schedule.rows}
        waits += [
            Wait(request.request_id, reason, holders)
            for request in running
            if request.status is Status.RUNNING and request.request_id not in in_batch | named
        ]
    if ALL_WAITING not in named and any(r.request_id not in named for r in waiting):
        waits.append(Wait(ALL_WAITING, WaitReason.LOWER_PRIORITY, (BATCH,)))
    return tuple(waits)
