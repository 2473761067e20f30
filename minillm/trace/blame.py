"""Blame: whose work did each nanosecond of a request pay for?

Every nanosecond from a request's arrival to its end has one culprit: another request, the request
itself, or the idle engine. So for each finished request the culprits add up to its end-to-end
latency, exactly. The rules, by what the request does in a step (and the kind they book):

* it waits (`queue`; `preempted` after a preemption) or is admitted but not in the batch (`stall`):
  the step goes to the holders that its recorded wait names, pro rata to what they hold;
* it decodes: the share of the step's tokens that are prefill is `interference` by those who
  prefill, the rest is its own `compute`;
* it prefills: its own `compute`; after a preemption `recompute`, owed to whom it gave way to;
* its generation is done but a static batch holds it (`held`): to those who still generate;
* it arrived while a step was under way (`queue`): to that step's batch, by tokens;
* no step ran (`idle`): to nobody.

Integers are split by largest remainder. A wait shared by a whole group is booked once per step,
into one running total: a member's part is the total when it leaves less that when it entered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from minillm.events import (
    ALL_RUNNING,
    ALL_WAITING,
    Added,
    Admitted,
    Event,
    Finished,
    Forked,
    Preempted,
    Step,
    Wait,
    WaitReason,
)
from minillm.trace.fold import State, apply

if TYPE_CHECKING:
    from minillm.trace.trace import Trace

ITSELF = "itself"
IDLE = "idle"
UNEXPLAINED = "unexplained"  # a wait without a recorded holder

_STILL_GENERATING = Wait(ALL_RUNNING, WaitReason.BATCH_NOT_FINISHED, (ALL_RUNNING,))


@dataclass(frozen=True, slots=True)
class Blame:
    """`requests[id][kind][culprit]` in integer ns; an unfinished request is booked so far."""

    requests: dict[str, dict[str, dict[str, int]]]

    def of(self, id: str) -> dict[str, int]:
        """Culprit → ns for one request, the heaviest first."""
        total: dict[str, int] = defaultdict(int)
        for culprits in self.requests[id].values():
            for culprit, ns in culprits.items():
                total[culprit] += ns
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def by_kind(self, id: str) -> dict[str, int]:
        """Kind → ns for one request."""
        return {kind: sum(parts.values()) for kind, parts in self.requests[id].items()}

    def caused(self) -> dict[str, int]:
        """Culprit → ns that it cost other requests, the heaviest first."""
        total: dict[str, int] = defaultdict(int)
        for kinds in self.requests.values():
            for culprits in kinds.values():
                for culprit, ns in culprits.items():
                    if culprit not in (ITSELF, IDLE, UNEXPLAINED):
                        total[culprit] += ns
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def __repr__(self) -> str:
        heaviest = list(self.caused().items())[:3]
        told = ", ".join(f"{id} cost others {ns / 1e6:,.1f} ms" for id, ns in heaviest)
        return f"<Blame of {len(self.requests)} requests: {told or 'nobody cost anybody'}>"


def split(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """`total` in integer parts pro rata to `weights`; what rounding leaves goes to the largest
    remainders, ties to the first named. Without any weight it is UNEXPLAINED."""
    whole = sum(weights.values())
    if not whole:
        return {UNEXPLAINED: total}
    parts = {id: total * weight // whole for id, weight in weights.items()}
    left = total - sum(parts.values())
    if left:
        by_remainder = sorted(weights, key=lambda id: -(total * weights[id] % whole))
        for id in by_remainder[:left]:
            parts[id] += 1
    return parts


@dataclass(slots=True)
class _Account:
    """One request's books. `idle_mark`: the idle total at which its own idling began at zero."""

    id: str
    idle_mark: int = 0
    preempted_by: str | None = None
    preempted: bool = False
    booked: dict[str, dict[str, int]] = field(default_factory=dict)

    def book(self, kind: str, parts: Mapping[str, int]) -> None:
        books = self.booked.setdefault(kind, {})
        for culprit, ns in parts.items():
            if ns:
                culprit = ITSELF if culprit == self.id else culprit
                books[culprit] = books.get(culprit, 0) + ns

    @property
    def waiting_kind(self) -> str:
        return "preempted" if self.preempted else "queue"


class _Group:
    """A running total shared by all who wait alike. Culprits are kept in order of last booking,
    so that leaving costs only as much as was booked since entering."""

    def __init__(self) -> None:
        self._tick = 0
        self._total: dict[str, tuple[int, int]] = {}  # culprit → (ns, tick of last booking)
        self._entered: dict[str, tuple[int, dict[str, tuple[int, int]]]] = {}

    def __contains__(self, id: str) -> bool:
        return id in self._entered

    def enter(self, id: str) -> None:
        self._entered[id] = (self._tick, self._total.copy())

    def leave(self, id: str) -> dict[str, int]:
        tick, before = self._entered.pop(id)
        parts = {}
        for culprit in reversed(self._total):
            ns, last = self._total[culprit]
            if last <= tick:
                break
            parts[culprit] = ns - before.get(culprit, (0, 0))[0]
        return parts

    def book(self, parts: Mapping[str, int]) -> None:
        self._tick += 1
        for culprit, ns in parts.items():
            if ns:
                before, _ = self._total.pop(culprit, (0, 0))
                self._total[culprit] = (before + ns, self._tick)


class _Books:
    def __init__(self, num_blocks: int) -> None:
        self.state = State(num_blocks)
        self.accounts: dict[str, _Account] = {}
        self.open: dict[str, _Account] = {}
        self.idle = 0  # ns without a step so far
        self.group = _Group()
        self._touched: set[str] = set()  # by what followed from the step before

    def feed(self, step: Step) -> None:
        state = self.state
        before = (state.start, state.time, state.batch)
        old_who = {wait.who for wait in state.waits}
        apply(state, step)
        self.idle += step.start - before[1]
        touched = self._touched | self._events(step.events, step.start, before)
        if step.waits is not None:
            touched |= old_who ^ {wait.who for wait in state.waits}
        self._regroup(touched)
        ended = {event.id for event in step.after if type(event) is Finished}
        self._book(step.duration, ended.intersection(step.wasted))
        self._touched = self._events(step.after, state.time, before)

    def close(self, events: Iterable[Event], time: int) -> None:
        state = self.state
        self.idle += time - state.time
        self._regroup(self._events(events, time, (state.start, state.time, state.batch)))

    def result(self) -> Blame:
        for id in list(self.open):
            self._settle(id)
        return Blame({id: account.booked for id, account in self.accounts.items()})

    def _events(
        self,
        events: Iterable[Event],
        time: int,
        before: tuple[int, int, list[tuple[str, int, str]]],
    ) -> set[str]:
        """Open and settle accounts; returns the ids that something happened to."""
        touched = set()
        for event in events:
            match event:
                case Added():
                    self._open(event, time, before)
                case Forked():
                    self._fork(event)
                    touched.add(event.child)
                case Preempted():
                    account = self.open[event.id]
                    account.preempted, account.preempted_by = True, event.by
                case Finished():
                    self._settle(event.id)
                    continue
                case Admitted():
                    pass
                case _:
                    continue
            touched.add(event.id)
        return touched

    def _open(
        self, event: Added, time: int, before: tuple[int, int, list[tuple[str, int, str]]]
    ) -> None:
        """Book what passed between arrival and `time`: the step under way, then idle time."""
        start, end, batch = before
        account = self.accounts[event.id] = self.open[event.id] = _Account(event.id)
        account.idle_mark = self.idle - (time - max(event.arrival, end))
        if event.arrival < end:
            in_flight = end - max(event.arrival, start)
            account.book("queue", split(in_flight, {id: n for id, n, _ in batch}))
            account.book("queue", {UNEXPLAINED: max(0, start - event.arrival)})

    def _fork(self, event: Forked) -> None:
        """A fork has lived its parent's life so far."""
        parent = self.open[event.id]
        account = _Account(event.child, parent.idle_mark, parent.preempted_by, parent.preempted)
        account.booked = {kind: dict(books) for kind, books in parent.booked.items()}
        self.accounts[event.child] = self.open[event.child] = account

    def _settle(self, id: str) -> None:
        account = self.open.pop(id)
        if id in self.group:
            account.book(account.waiting_kind, self.group.leave(id))
        account.book("idle", {IDLE: self.idle - account.idle_mark})

    def _regroup(self, touched: Iterable[str]) -> None:
        """Let those enter or leave the group of `*waiting` whose situation changed."""
        state, group = self.state, self.group
        who = {wait.who for wait in state.waits}
        for id in touched:
            member = id in state.waiting and id not in who
            if member and id not in group:
                group.enter(id)
            elif not member and id in group:
                account = self.open[id]
                account.book(account.waiting_kind, group.leave(id))

    def _book(self, duration: int, ended: Collection[str]) -> None:
        """Book this step for everybody in the engine but those who had `ended` before it."""
        state, open_ = self.state, self.open
        shares: dict[tuple[WaitReason, tuple[str, ...]], dict[str, int]] = {}

        def share(wait: Wait | None) -> dict[str, int]:
            if wait is None:
                return {UNEXPLAINED: duration}
            key = (wait.reason, wait.holders)
            if key not in shares:
                shares[key] = split(duration, state.weigh(wait))
            return shares[key]

        explicit = {wait.who: wait for wait in state.waits}
        self.group.book(share(explicit.get(ALL_WAITING)))
        for id, wait in explicit.items():
            if id in state.waiting:
                open_[id].book(open_[id].waiting_kind, share(wait))

        prefills = {id: n for id, n, kind in state.batch if kind == "prefill"}
        decodes = sum(kind == "decode" for _, _, kind in state.batch)
        decode_share = split(duration, {**prefills, ITSELF: decodes})
        own = decode_share.pop(ITSELF, 0)
        in_batch = set()
        for id, _, kind in state.batch:
            account = open_[id]
            in_batch.add(id)
            if id in ended:
                continue
            if kind == "decode":
                account.book("compute", {ITSELF: own})
                account.book("interference", decode_share)
            elif kind == "dead":
                account.book("held", share(_STILL_GENERATING))
            elif account.preempted:
                account.book("recompute", {account.preempted_by or ITSELF: duration})
            else:
                account.book("compute", {ITSELF: duration})
        for id in state.running:
            if id not in in_batch and id not in state.born:
                open_[id].book("stall", share(explicit.get(id) or explicit.get(ALL_RUNNING)))
        for id, _, kind in state.batch:
            if kind != "dead" and state.sequences[id].phase != "prefill":
                open_[id].preempted = False


def blame(trace: Trace) -> Blame:
    """Fold `trace` once more, booking every nanosecond."""
    books = _Books(trace.header.num_blocks)
    for step in list(trace.steps):
        books.feed(step)
    if trace.closing is not None:
        books.close(trace.closing.events, trace.closing.time)
    return books.result()
