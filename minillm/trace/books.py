"""The books: whose work did each nanosecond of a request pay for?

Every nanosecond from a request's arrival to its end has one culprit: another request, the request
itself, or the idle engine. The rules, by what the request does in a step (its segment's kind):

* it waits (`queue`; `preempted` after a preemption) or is admitted but not in the batch (`stall`):
  the step goes to the holders that its recorded wait names, pro rata to what they hold;
* it decodes (`decode`): the share of the step's tokens that are prefill goes to those who
  prefill, the rest is its own;
* it prefills (`prefill`): its own; after a preemption (`recompute`) owed to whom it gave way to;
* its generation is done but a static batch holds it (`held`): to those who still generate;
* it arrived while a step was under way (`queue`): to that step's batch, by tokens;
* no step runs: to nobody, within the segment that it interrupts;
* it came before the stretch that was cut out of a run (`cut`): nobody knows.

Integers are split by largest remainder. What many pay alike is booked once per step, into a tally
that they share while it lasts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
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
from minillm.trace.culprits import IDLE, ITSELF, UNEXPLAINED, split
from minillm.trace.fold import State, apply
from minillm.trace.lives import Life, Lives, Segment
from minillm.trace.records import SequenceState
from minillm.trace.tally import Tally

if TYPE_CHECKING:
    from minillm.trace.trace import Trace

_STILL_GENERATING = Wait(ALL_RUNNING, WaitReason.BATCH_NOT_FINISHED, (ALL_RUNNING,))
_Batch = list[tuple[str, int, str]]


def lives(trace: Trace) -> Lives:
    """Fold `trace` once more, booking every nanosecond."""
    books = _Books(trace.state_at(-1))
    for step in list(trace.steps):
        books.feed(step)
    if trace.closing is not None:
        books.close(trace.closing.events, trace.closing.time)
    return books.result()


@dataclass(slots=True)
class _Account:
    """One request's books. `idle_mark`: the engine's idle total at which `now`, its open segment,
    has seen none. `tally`: what it shares with others at the moment."""

    id: str
    arrival: int
    now: Segment
    idle_mark: int
    segments: list[Segment] = field(default_factory=list)
    worst: dict[str, tuple[int, int]] = field(default_factory=dict)
    tally: Tally | None = None

    def book(self, parts: Mapping[str, int], step: int) -> None:
        for culprit, ns in parts.items():
            if ns:
                self.pay(culprit, ns, ns, step)

    def pay(self, culprit: str, ns: int, most: int, step: int) -> None:
        """`ns` in all for `culprit`, `most` of them in one step: `step`."""
        if culprit == self.id:
            culprit = ITSELF
        booked = self.now.culprits
        booked[culprit] = booked.get(culprit, 0) + ns
        if culprit not in self.worst or most > self.worst[culprit][1]:
            self.worst[culprit] = step, most

    def leave(self) -> None:
        """Settle what it shared; from now on it pays for itself."""
        if self.tally is not None:
            for part in self.tally.leave(self.id):
                self.pay(*part)
            self.tally = None

    def turn(self, kind: str, time: int, idle: int, step: int) -> None:
        """From `time` on, when `step` starts, it does `kind`."""
        if self.now.kind != kind:
            self.end(time, idle, step - 1)
            self.now, self.idle_mark = Segment(kind, time, time, step, step), idle

    def end(self, time: int, idle: int, last: int) -> None:
        """Its open segment ends at `time`, after step `last`."""
        now = self.now
        now.end, now.last = time, max(last, now.first)
        if idle > self.idle_mark:
            now.culprits[IDLE] = idle - self.idle_mark
        if time > now.start:
            self.segments.append(now)


class _Books:
    def __init__(self, state: State) -> None:
        self.state = state
        self.lives: dict[str, Life | None] = {}  # None: not ended
        self.open: dict[str, _Account] = {}
        self.idle = 0  # ns without a step so far
        self.lost: dict[str, str | None] = {}  # preempted, not decoding again → who for
        self.waiting, self.decode, self.stall, self.held = Tally(), Tally(), Tally(), Tally()
        self._touched: set[str] = set()  # by what followed from the step before
        for sequence in state.sequences.values():
            self._resume(sequence)

    def feed(self, step: Step) -> None:
        state = self.state
        before = (state.start, state.time, state.batch)
        old_who = state.waiters
        apply(state, step)
        self.idle += step.start - before[1]
        touched = self._touched | self._events(step.events, step.start, step.index, before)
        if step.waits is not None:
            touched |= old_who ^ state.waiters
        self._regroup(touched)
        ended = {event.id for event in step.after if type(event) is Finished}
        self._book(step.duration, ended.intersection(step.wasted))
        ran = (state.start, state.time, state.batch)
        self._touched = self._events(step.after, state.time, step.index + 1, ran)

    def close(self, events: Iterable[Event], time: int) -> None:
        state = self.state
        self.idle += time - state.time
        state.wasted = ()
        self._events(events, time, state.index + 1, (state.start, state.time, state.batch))
        state.time = time

    def result(self) -> Lives:
        for id in list(self.open):
            self._settle(id, self.state.time, self.state.index, finished=False)
        return Lives({id: life for id, life in self.lives.items() if life is not None})

    def _events(
        self, events: Iterable[Event], time: int, step: int, before: tuple[int, int, _Batch]
    ) -> set[str]:
        """Open and settle accounts at `time`, when `step` starts; returns the ids that something
        happened to."""
        touched = set()
        for event in events:
            match event:
                case Added():
                    self._open(event, time, step, before)
                case Forked():
                    self._fork(event)
                    touched.add(event.child)
                case Preempted():
                    self.lost[event.id] = event.by
                case Finished():
                    if event.id in self.state.wasted:  # it had ended when that step began
                        self._settle(event.id, self.state.start, step - 2)
                    else:
                        self._settle(event.id, time, step - 1)
                    continue
                case Admitted():
                    pass
                case _:
                    continue
            touched.add(event.id)
        return touched

    def _resume(self, sequence: SequenceState) -> None:
        """Open the account of one that was in the engine before step 0."""
        id, arrival = sequence.id, sequence.arrival
        account = _Account(id, arrival, Segment("cut", arrival, arrival, 0, 0), 0)
        account.book({UNEXPLAINED: self.state.time - arrival}, 0)
        self.open[id], self.lives[id] = account, None
        self._touched.add(id)
        if sequence.preemptions and sequence.phase in ("waiting", "prefill"):
            self.lost[id] = UNEXPLAINED

    def _open(self, event: Added, time: int, step: int, before: tuple[int, int, _Batch]) -> None:
        """Book what passed between arrival and `time`: the step under way, then idle time."""
        start, end, batch = before
        under_way = event.arrival < end
        first = max(step - 1, 0) if under_way else step
        now = Segment("queue", event.arrival, event.arrival, first, first)
        mark = self.idle - (time - max(event.arrival, end))
        account = self.open[event.id] = _Account(event.id, event.arrival, now, mark)
        self.lives[event.id] = None
        if under_way:
            in_flight = end - max(event.arrival, start)
            account.book(split(in_flight, {id: n for id, n, _ in batch}), first)
            account.book({UNEXPLAINED: max(0, start - event.arrival)}, first)

    def _fork(self, event: Forked) -> None:
        """A fork has lived its parent's life so far."""
        parent = self.open[event.id]
        tally = parent.tally
        parent.leave()
        self.open[event.child] = replace(
            parent,
            id=event.child,
            now=replace(parent.now, culprits=dict(parent.now.culprits)),
            segments=list(parent.segments),
            worst=dict(parent.worst),
        )
        self.lives[event.child] = None
        if tally is not None:
            self._enter(parent, tally)

    def _settle(self, id: str, time: int, last: int, *, finished: bool = True) -> None:
        account = self.open.pop(id)
        account.leave()
        account.end(time, self.idle, last)
        self.lost.pop(id, None)
        self.lives[id] = Life(id, account.arrival, time, finished, account.segments, account.worst)

    def _waiting_kind(self, id: str) -> str:
        return "preempted" if id in self.lost else "queue"

    def _turn(self, id: str, kind: str) -> _Account:
        """With the step under way, `id` does `kind`, and pays for itself."""
        account, state = self.open[id], self.state
        account.leave()
        account.turn(kind, state.start, self.idle, state.index)
        return account

    def _enter(self, account: _Account, tally: Tally) -> None:
        tally.enter(account.id)
        account.tally = tally

    def _share(self, tally: Tally, kind: str, members: Collection[str]) -> None:
        """Let `members` and nobody else share `tally` in this step."""
        for id in tally.members.keys() ^ members:
            if id in members:
                self._enter(self._turn(id, kind), tally)
            else:
                self.open[id].leave()

    def _regroup(self, touched: Iterable[str]) -> None:
        """Let those join or leave `*waiting` whose situation changed."""
        state = self.state
        for id in touched:
            member = id in state.waiting and id not in state.waiters
            if member:
                self._enter(self._turn(id, self._waiting_kind(id)), self.waiting)
            elif not member and id in self.waiting.members:
                self.open[id].leave()

    def _book(self, duration: int, ended: Collection[str]) -> None:
        """Book this step for everybody in the engine but those who had `ended` before it."""
        state, n = self.state, self.state.index
        shares: dict[tuple[WaitReason, tuple[str, ...]], dict[str, int]] = {}

        def share(wait: Wait | None) -> dict[str, int]:
            if wait is None:
                return {UNEXPLAINED: duration}
            key = (wait.reason, wait.holders)
            if key not in shares:
                shares[key] = split(duration, state.weigh(wait))
            return shares[key]

        explicit = {wait.who: wait for wait in state.waits}
        if self.waiting.members:
            self.waiting.book(share(explicit.get(ALL_WAITING)), n)
        for id, wait in explicit.items():
            if id in state.waiting:
                self._turn(id, self._waiting_kind(id)).book(share(wait), n)

        batch = state.batch
        prefills = {id: tokens for id, tokens, kind in batch if kind == "prefill"}
        decodes = {id for id, _, kind in batch if kind == "decode"}
        held = {id for id, _, kind in batch if kind == "dead"}
        stalled = state.running.keys() - prefills.keys() - decodes - held - state.born
        alone = stalled & explicit.keys()
        self._share(self.decode, "decode", decodes.difference(ended))
        if decodes:
            self.decode.book(split(duration, {**prefills, ITSELF: len(decodes)}), n)
        self._share(self.held, "held", held.difference(ended))
        if held:
            self.held.book(share(_STILL_GENERATING), n)
        self._share(self.stall, "stall", stalled - alone)
        if self.stall.members:
            self.stall.book(share(explicit.get(ALL_RUNNING)), n)
        for id in alone:
            self._turn(id, "stall").book(share(explicit[id]), n)
        for id in prefills.keys() - ended:
            if id in self.lost:
                self._turn(id, "recompute").book({self.lost[id] or ITSELF: duration}, n)
            else:
                self._turn(id, "prefill").book({ITSELF: duration}, n)
        for id in [id for id in self.lost if id in decodes or id in prefills]:
            if state.sequences[id].phase != "prefill":
                del self.lost[id]
