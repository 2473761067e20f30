"""What is kept of a run that keeps no steps: its requests and its figures."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import cast

from minillm.engine import Engine
from minillm.events import Admitted, Event, Rejected, Step
from minillm.execution.batch import Row
from minillm.ids import fork_id
from minillm.request import Request, RequestOutput
from minillm.scheduling import Schedule
from minillm.trace.digest import RequestRecord, Series
from minillm.trace.metrics import PERCENTILES, metrics
from minillm.trace.records import Header
from minillm.trace.trace import Trace


class RunSummary:
    """What is kept of a simulated run that keeps no steps: its requests and its figures.

    `requests` are as in a trace but without `token_times`; `metrics()` gives what the trace of
    the same run would, while no request is aborted or fails: the gaps between their tokens count
    here, too. Memory grows with requests and distinct gaps, not with tokens.
    """

    base = None  # it is a whole run, see `Trace.base`

    def __init__(self, engine: Engine, header: Header) -> None:
        self.header = header
        self.requests: list[RequestRecord] = []
        self.num_preemptions = 0
        self.num_steps = 0
        self._engine = engine
        self._earlier = engine.pending_events  # of what ran before
        self._open: dict[str, tuple[Request, RequestRecord]] = {}
        self._gaps: defaultdict[int, int] = defaultdict(int)  # ns between tokens → how often
        self._batch: Sequence[Row] = []  # the rows of the last step
        self._steady = False  # was it the same as the one before, all decodes?
        self._last_token: dict[Request, int] = {}  # when it came; not kept up while steady
        self._queried = self._found = 0  # tokens looked up in the prefix cache, and found there
        self._most_running = self._most_used = self._end = 0
        self._stop_listening = [
            engine.hooks.on("request_added", self._added),
            engine.hooks.on("forked", self._forked),
            engine.hooks.on("scheduled", self._scheduled),
            engine.hooks.on("step", self._step),
            engine.hooks.on("finished", self._finished),
        ]

    @property
    def series(self) -> Series:
        """Of the run's extremes only: one entry, its end and the highest counts."""
        highest = (self._end, self._most_running, 0, self._most_used)
        return Series(*(array("q", [value]) for value in highest)) if self.num_steps else Series()

    @property
    def prefix_cache_hit_rate(self) -> float:
        """Of the tokens looked up in the prefix cache at admissions, the share found there."""
        return self._found / self._queried if self._queried else 0.0

    @property
    def duration(self) -> float:
        """Engine seconds from time 0 to the end of the last step."""
        return self._end / 1e9

    def metrics(self, goodput: Mapping[str, float] | None = None) -> dict[str, float]:
        """Figures by the names of `vllm bench serve`; see `minillm.trace.metrics.metrics`."""
        return metrics(cast(Trace, self), goodput) | _gap_statistics(self._gaps)

    def __repr__(self) -> str:
        what = " · ".join((self.header.model, self.header.device, self.header.scheduler))
        return (
            f"<RunSummary {what}: {self.num_steps:,} steps, {len(self.requests):,} requests, "
            f"{self.duration:.3f} s>"
        )

    def _forked(self, parent: Request, child: Request) -> None:
        self._added(child, parent.request_id)
        self.num_preemptions += child.num_preemptions  # 1 for one that found no room

    def _added(self, request: Request, parent: str | None = None) -> None:
        record = RequestRecord(
            id=request.request_id,
            parent=parent,
            arrival=request.arrival_time,
            prompt_len=request.num_prompt_tokens,
            max_tokens=request.max_tokens,
            client=request.client,
            priority=request.priority,
        )
        self.requests.append(record)
        self._open[request.request_id] = (request, record)

    def _scheduled(self, schedule: Schedule) -> None:
        for request in schedule.admitted:
            self._queried += request.num_tokens
        self.num_preemptions += len(schedule.preempted)
        engine = self._engine
        running = len(engine.running)
        if running > self._most_running:
            self._most_running = running
        used = engine.kv_cache.num_used_blocks
        if used > self._most_used:
            self._most_used = used

    def _step(self, step: Step) -> None:
        self.num_steps += 1
        batch, self._batch = self._batch, self._engine.scheduler.computed
        if batch == self._batch and step.start == self._end and not step.wasted:
            self._gaps[step.duration] += len(batch)  # all wrote in the step before, too
            self._steady = True
        else:
            self._count_gaps(batch, step)
            self._steady = False
        self._end = step.start + step.duration
        for event in step.events:
            if type(event) is Admitted:
                self._found += event.cached_tokens
            elif type(event) is Rejected:
                self._refused(event)

    def _count_gaps(self, before: Sequence[Row], step: Step) -> None:
        last_token, tokens, now = self._last_token, step.tokens, step.start + step.duration
        if self._steady:
            for row in before:
                last_token[row.request] = self._end
        for row in self._batch:
            request = row.request
            if request.prompt_token_ids is not None:
                wrote = request.request_id in tokens
            else:  # simulated: no token ids, and its state is that after the step
                wrote = request.in_decode or request.finish_reason is not None
            if wrote:
                last = last_token.get(request, request.first_token_time)
                if last != now and last is not None:
                    self._gaps[now - last] += 1
                last_token[request] = now

    def _refused(self, event: Rejected) -> None:
        if any(event is other for other in self._earlier):
            return
        self.requests.append(
            RequestRecord(id=event.id, arrival=event.arrival, rejected=event.message)
        )

    def _finished(self, output: RequestOutput) -> None:
        times = output.metrics
        for index, completion in enumerate(output.outputs):
            name = fork_id(output.request_id, index)
            if name not in self._open:
                continue  # a fork that was never born
            request, record = self._open.pop(name)
            self._last_token.pop(request, None)
            record.output_len = request.num_output_tokens
            record.first_token_at = request.first_token_time
            record.finished_at = request.finished_time
            if times.first_scheduled_time is not None:
                record.admitted_at = round(times.first_scheduled_time * 1e9)
            record.preemptions = request.num_preemptions
            record.cached_tokens = times.num_cached_tokens
            record.finish_reason = completion.finish_reason

    def close(self, events: Iterable[Event]) -> None:
        """Take what happened after the last step, and stop listening to the engine."""
        for off in self._stop_listening:
            off()
        for event in events:
            if isinstance(event, Rejected):
                self._refused(event)


def _gap_statistics(gaps: Mapping[int, int]) -> dict[str, float]:
    """The inter-token latencies' figures, ms, from how often each gap (ns) occurred; as
    `minillm.trace.metrics` computes them from the list of all gaps."""
    lengths = sorted(gap for gap, count in gaps.items() if count)
    upto = list(accumulate(gaps[gap] for gap in lengths))
    count = upto[-1] if upto else 0
    nan = math.nan

    def at(rank: int) -> float:
        return lengths[bisect_right(upto, rank)] / 1e6

    def percentile(percent: int) -> float:
        if not count:
            return nan
        position = (count - 1) * percent / 100
        low = math.floor(position)
        return at(low) + (at(min(low + 1, count - 1)) - at(low)) * (position - low)

    mean = math.fsum(gap * gaps[gap] for gap in lengths) / count / 1e6 if count else nan
    squares = math.fsum((gap / 1e6 - mean) ** 2 * gaps[gap] for gap in lengths)
    return {
        "mean_itl_ms": mean,
        "median_itl_ms": percentile(50),
        "std_itl_ms": math.sqrt(squares / count) if count else nan,
        **{f"p{p}_itl_ms": percentile(p) for p in PERCENTILES},
    }
