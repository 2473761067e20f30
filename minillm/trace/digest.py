"""One pass over the steps that gathers what metrics, charts and exports ask for.

A `Digest` takes steps one by one, so that a view of a live run reads each step once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from minillm.events import (
    Added,
    Admitted,
    Alloc,
    Cached,
    Event,
    Evicted,
    Finished,
    Forked,
    Free,
    Preempted,
    Rejected,
    Step,
)
from minillm.trace.cut import begin
from minillm.trace.file import KEYFRAME_EVERY
from minillm.trace.fold import close, decide, run
from minillm.trace.lines import encode
from minillm.trace.records import Closing, Header, Keyframe, SequenceState

_OF_BLOCKS = frozenset((Alloc, Free, Cached, Evicted))


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One sequence's story: a request, or a fork of one (`parent`) where several answers to a
    prompt were asked for. Times are engine-clock ns, lengths are tokens; None: not yet.

    `token_times[i]` is when output token i was sampled; of a stretch cut out of a run, only the
    tokens sampled in it have a time. A rejected request has `rejected`, the
    message, and nothing but its arrival.
    """

    id: str
    arrival: int
    prompt_len: int = 0
    max_tokens: int = 0
    output_len: int = 0
    earlier_tokens: int = 0  # of `output_len`: before the stretch that was cut out of a run
    admitted_at: int | None = None
    first_token_at: int | None = None
    finished_at: int | None = None
    token_times: list[int] = field(default_factory=list)
    finish_reason: str | None = None
    preemptions: int = 0
    cached_tokens: int = 0  # found in the prefix cache when it was first admitted
    client: str | None = None
    priority: int = 0
    prompt: str | None = None
    text: str = ""
    rejected: str | None = None
    parent: str | None = None  # of a fork: the request whose prompt it answers, too

    @property
    def completed(self) -> bool:
        """Served to its natural end: neither aborted, failed, rejected nor unfinished."""
        return self.finish_reason in ("stop", "length")

    @property
    def itl(self) -> list[int]:
        """Inter-token latencies: the gaps between output tokens, ns."""
        times = self.token_times
        return [b - a for a, b in pairwise(times)]


@dataclass(slots=True)
class Series:
    """One entry per step. `end` in ns; the rest are counts while the step's batch ran."""

    end: array[int] = field(default_factory=lambda: array("q"))
    running: array[int] = field(default_factory=lambda: array("q"))
    waiting: array[int] = field(default_factory=lambda: array("q"))
    used_blocks: array[int] = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class Gaps:
    """Inter-token latencies in order of time: one entry per output token but each first one.

    `end`: when the token came, ns; `gap`: since the one before it, ns; `request`: its id.
    """

    end: array[int] = field(default_factory=lambda: array("q"))
    gap: array[int] = field(default_factory=lambda: array("q"))
    request: list[str] = field(default_factory=list)


class Digest:
    """What a run amounts to, so far. `keyframes[i]` follows step 256 · (i + 1) − 1, as its line in
    the file. `requests` and `state` lack tokens until `settle` is called."""

    def __init__(self, header: Header, base: Keyframe | None = None) -> None:
        """Raises TraceError where `base`, the state before step 0, cannot be."""
        self.state = begin(header, base)
        self.requests: list[RequestRecord] = []
        self.series = Series()
        self._gaps = Gaps()
        self._gapped: list[int] = []  # of each of `requests`: its tokens whose gaps are in there
        self._ticks: list[int] = []  # when each ended, ns
        self.keyframes: list[bytes] = []
        self.num_preemptions = 0
        self.prefix_queries = 0  # tokens looked up in the prefix cache at admissions
        self.prefix_hits = 0  # of those, found
        self.point: int | None = None  # step that costs most waiting (requests × length)
        self._lost = 0  # in it
        self._by_id: dict[str, RequestRecord] = {}
        for sequence in self.state.sequences.values():
            record = self._by_id[sequence.id] = _under_way(sequence)
            self.requests.append(record)

    def feed(self, step: Step) -> None:
        """Take the next step. Raises TraceError when it contradicts those before."""
        state = self.state
        decide(state, step)
        self._gained()
        self._events(step.events, step.start)
        run(state, step)
        end = state.time
        if state.ticks > len(self._ticks):
            self._ticks.append(end)
        self._gained()
        self._events(step.after, end)
        for id in step.text:
            self._by_id[id].text = state.sequences[id].text
        series, (running, waiting, used) = self.series, state.load
        series.end.append(end)
        series.running.append(running)
        series.waiting.append(waiting)
        series.used_blocks.append(used)
        if state.most_waits() * step.duration > self._lost:
            lost = len(state.waits_by_sequence()) * step.duration
            if lost > self._lost:
                self.point, self._lost = step.index, lost
        if (step.index + 1) % KEYFRAME_EVERY == 0:
            self.settle()
            self.keyframes.append(encode(state.keyframe()))

    @property
    def keyframe(self) -> bytes | None:
        """The line of the keyframe that is due behind the last step; None where none is."""
        at = self.state.index + 1
        return self.keyframes[-1] if at and at % KEYFRAME_EVERY == 0 else None

    def settle(self) -> None:
        """Bring those up to date that went on decoding: their requests, and the state."""
        ticks = self.state.ticks
        for id, since in self.state.decoding.items():
            if since < ticks:
                _add(self._by_id[id], self._ticks[since:ticks])
        self.state.settle()

    def close(self, closing: Closing) -> None:
        """Take the closing record: what happened after the last step."""
        self.settle()
        close(self.state, closing)
        self._events(closing.events, closing.time)

    def gaps(self) -> Gaps:
        """Every inter-token latency so far, in order of time."""
        gaps, seen = self._gaps, self._gapped
        seen += [1] * (len(self.requests) - len(seen))
        end, gap, request = array("q"), array("q"), []
        for index, record in enumerate(self.requests):
            times, known = record.token_times, seen[index]
            if len(times) > known:
                fresh = times[known - 1 :]
                end.extend(fresh[1:])
                gap.extend(b - a for a, b in pairwise(fresh))
                request += [record.id] * (len(fresh) - 1)
                seen[index] = len(times)
        for index in sorted(range(len(end)), key=end.__getitem__):
            gaps.end.append(end[index])
            gaps.gap.append(gap[index])
            gaps.request.append(request[index])
        return gaps

    def _gained(self) -> None:
        """Book the tokens of those that the last half of a step brought up to date."""
        state, by_id, ticks = self.state, self._by_id, self._ticks
        for id, since, until in state.counted:
            _add(by_id[id], ticks[since:until])
        for id, tokens in state.sampled:
            _add(by_id[id], [state.time] * tokens)

    def _forked(self, event: Forked, time: int) -> None:
        parent, outputs = self._by_id[event.id], self.state.sequences[event.child].outputs
        record = replace(
            parent,
            id=event.child,
            parent=event.id,
            output_len=outputs,
            earlier_tokens=0,
            first_token_at=time,
            token_times=[time] * outputs,
            preemptions=0,
            text="",
        )
        self._by_id[event.child] = record
        self.requests.append(record)

    def _events(self, events: Iterable[Event], time: int) -> None:
        for event in events:
            if type(event) in _OF_BLOCKS:  # most are
                continue
            match event:
                case Added():
                    record = self._by_id[event.id] = RequestRecord(
                        id=event.id,
                        arrival=event.arrival,
                        prompt_len=event.prompt_len,
                        max_tokens=event.max_tokens,
                        client=event.client,
                        priority=event.priority,
                        prompt=event.text,
                    )
                    self.requests.append(record)
                case Rejected():
                    self.requests.append(
                        RequestRecord(id=event.id, arrival=event.arrival, rejected=event.message)
                    )
                case Forked():
                    self._forked(event, time)
                case Admitted():
                    record = self._by_id[event.id]
                    self.prefix_queries += record.prompt_len + record.output_len
                    self.prefix_hits += event.cached_tokens
                    if record.admitted_at is None:
                        record.admitted_at, record.cached_tokens = time, event.cached_tokens
                case Preempted():
                    self.num_preemptions += 1
                    self._by_id[event.id].preemptions += 1
                case Finished():
                    record = self._by_id[event.id]
                    record.finished_at = self.state.start if event.id in self.state.wasted else time
                    record.finish_reason = event.reason  # last: `completed` promises the times


def _add(record: RequestRecord, times: list[int]) -> None:
    """Output tokens came at these `times`, ns."""
    if times:
        if record.first_token_at is None:
            record.first_token_at = times[0]
        record.token_times += times
        record.output_len += len(times)


def _under_way(sequence: SequenceState) -> RequestRecord:
    """A request that was in the engine before step 0."""
    return RequestRecord(
        id=sequence.id,
        arrival=sequence.arrival,
        prompt_len=sequence.prompt_len,
        max_tokens=sequence.max_tokens,
        output_len=sequence.outputs,
        earlier_tokens=sequence.outputs,
        admitted_at=sequence.admitted_at,
        first_token_at=sequence.first_token_at,
        preemptions=sequence.preemptions,
        cached_tokens=sequence.cached_tokens,
        client=sequence.client,
        priority=sequence.priority,
        prompt=sequence.prompt,
        text=sequence.text,
        parent=sequence.parent,
    )
