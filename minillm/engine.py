"""The engine: read this first.

One `Engine.step()` is the whole story of LLM serving:

    schedule   the scheduler picks a batch, takes KV blocks, and says why the others wait
    execute    the executor computes it: one forward pass, or one question to a cost model
    apply      sampled tokens are appended; what ended leaves and returns its blocks
    record     what changed becomes one immutable `Step`, handed to whoever listens

The engine knows neither torch nor any view. With a torch executor and a wall clock it serves
tokens; with a simulated executor and a virtual clock the same code serves simulated time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from minillm.arrivals import ArrivalQueue
from minillm.clock import VirtualClock
from minillm.config import ResolvedConfig
from minillm.door import check_fits, check_vocabulary
from minillm.events import (
    Added,
    Done,
    Event,
    Finished,
    Forked,
    Preempted,
    Rejected,
    Step,
    Wait,
)
from minillm.execution.batch import Executor, Result, Row, Sampled
from minillm.hooks import Hooks
from minillm.ids import RequestIds, fork_id, parent_id
from minillm.kv_cache import make_kv_cache
from minillm.moves import BlockMoves
from minillm.output import OutputStream, request_output
from minillm.request import (
    FinishReason,
    Request,
    RequestOutput,
    RequestRejected,
    SamplingParams,
    Status,
)
from minillm.scheduling import Budget, Schedule, Scheduler
from minillm.scheduling.books import Estimate
from minillm.scheduling.waits import complete_waits

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """What the scheduler decided for one step, as it stands before it is executed."""

    rows: Sequence[Row]
    prefills: tuple[tuple[str, int], ...]
    waits: tuple[Wait, ...]
    moves: BlockMoves
    admitted: Sequence[Request]


@dataclass(slots=True)
class Outcome:
    """What the sampled tokens of one step led to: token ids and final text by sequence, those who
    wrote their first token, those computed for nothing, and those whose generation ends."""

    tokens: dict[str, tuple[int, ...]] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    first: list[Request] = field(default_factory=list)
    wasted: tuple[str, ...] = ()
    ended: list[tuple[Request, FinishReason]] = field(default_factory=list)


class EngineStuck(RuntimeError):
    """Nothing can be scheduled and nothing can change that: a policy's mistake, told with state."""


class Engine:
    """Iteration-level continuous batching over a paged KV cache. Single-threaded: one thread
    owns an engine and calls everything on it. `tokenizer` is needed only for text; `estimate`
    tells the scheduler how many seconds a batch will take (None: it learns that as it goes)."""

    def __init__(
        self,
        executor: Executor,
        scheduler: Scheduler,
        config: ResolvedConfig,
        *,
        clock: VirtualClock,
        tokenizer: Any = None,
        eos_token_ids: Sequence[int] = (),
        vocab_size: int | None = None,
        estimate: Estimate | None = None,
    ) -> None:
        self.executor = executor
        self.scheduler = scheduler
        self.config = config
        self.clock = clock
        self.tokenizer = tokenizer
        self.eos_token_ids = frozenset(eos_token_ids)
        self.vocab_size = vocab_size
        self.hooks = Hooks()
        self.budget = Budget(config.max_num_batched_tokens, config.max_num_seqs)
        scheduler.bind(estimate, Random(config.seed), self.budget)
        self.waiting = ArrivalQueue()
        self.running = ArrivalQueue()
        self._log: list[Event] = []  # everything that happened since the last step was recorded
        self.kv_cache = make_kv_cache(config, self._log)
        self._streams: dict[str, OutputStream] = {}  # of the sequences in the engine
        self._answers: dict[str, list[OutputStream]] = {}  # of unfinished requests, all n of each
        self._ids = RequestIds()
        self._next_step = 0
        self._last_waits: tuple[Wait, ...] = ()
        self._num_done = 0  # running whose generation has ended: dead slots of a static batch
        self._tokens_wanted = False
        self._in_step = False

    # ---- requests ----------------------------------------------------------------------------

    def add_request(
        self,
        prompt_token_ids: Sequence[int] | None = None,
        sampling: SamplingParams | None = None,
        *,
        request_id: str | None = None,
        prompt: str | None = None,
        num_prompt_tokens: int | None = None,
        true_output_len: int | None = None,
        content_ids: Sequence[Any] | None = None,
        arrival_time: int | None = None,
        client: str | None = None,
        priority: int = 0,
    ) -> str:
        """Queue a request and return its id. Times are engine ns; the default arrival is now.

        A simulated request gives `num_prompt_tokens` and `true_output_len` in place of token
        ids, and in `content_ids` a stand-in (no negative number) for each of its first blocks that
        it shares with others. Raises RequestRejected, and records it, when it can never be served.
        """
        self._refuse_in_step("add_request")
        now = self.clock.now
        arrival = now if arrival_time is None else arrival_time
        if arrival > now:
            raise ValueError(f"arrival_time {arrival} ns is after the engine's now, {now} ns.")
        sampling = sampling or SamplingParams()
        request_id, number = self._ids.take(request_id, sampling.n)
        length = len(prompt_token_ids) if prompt_token_ids is not None else num_prompt_tokens or 0
        try:
            check_vocabulary(prompt_token_ids or (), self.vocab_size)
            max_tokens = self.check_fits(length, sampling)
        except RequestRejected as refusal:
            self.refuse(str(refusal), arrival, request_id)
            raise
        request = Request(
            request_id=request_id,
            number=number,
            num_prompt_tokens=length,
            sampling=sampling,
            max_tokens=max_tokens,
            arrival_time=arrival,
            prompt_token_ids=prompt_token_ids,
            prompt=prompt,
            client=client,
            priority=priority,
            content_ids=content_ids,
            true_output_len=true_output_len,
        )
        stream = OutputStream.open(request, self.tokenizer, self.eos_token_ids)
        self._streams[request_id] = stream
        self._answers[request_id] = [stream, *self._prepare_forks(request)]
        self.waiting.add(request)
        self._log.append(Added(request_id, arrival, length, max_tokens, prompt, client, priority))
        self.scheduler.added(request)
        self.hooks.emit("request_added", request)
        return request_id

    def _prepare_forks(self, request: Request) -> Iterable[OutputStream]:
        """The other answers that were asked for; they begin with the first token."""
        for fork in range(1, request.sampling.n):
            name = fork_id(request.request_id, fork)
            child = replace(request, request_id=name, fork=fork, output_token_ids=[], forks=[])
            request.forks.append(child)
            yield OutputStream.open(child, self.tokenizer, self.eos_token_ids)

    def refuse(self, message: str, arrival: int, request_id: str | None = None) -> None:
        """Record that a request which arrived at `arrival` (ns) was turned away, and why."""
        if request_id is None:
            request_id, _ = self._ids.take()
        self._log.append(Rejected(request_id, arrival, message))

    def check_fits(self, length: int, sampling: SamplingParams) -> int:
        """The max_tokens in force for a prompt of `length` tokens; raises RequestRejected with
        the numbers when it can never be served. Changes nothing; any thread may ask."""
        return check_fits(length, sampling, self.config, self.scheduler)

    def abort(self, request_id: str) -> bool:
        """End a request now; its blocks return. False when it is not in the engine."""
        self._refuse_in_step("abort")
        answers = self._answers.get(request_id)
        if answers is None:
            return False
        for request in [stream.request for stream in answers]:
            if request.request_id in self._streams:
                # one whose generation has ended keeps its reason: only its static batch still ran
                self._leave(request, request.finish_reason or FinishReason.ABORT)
        self._release(())
        return True

    @property
    def has_unfinished(self) -> bool:
        return bool(self._streams)

    def output(self, request_id: str) -> RequestOutput | None:
        """What an unfinished request has produced so far; None once it has left."""
        answers = self._answers.get(request_id)
        return None if answers is None else request_output(answers, None)

    # ---- one step ----------------------------------------------------------------------------

    def step(self) -> Step | None:
        """Schedule, execute, apply, record. None when nothing is unfinished, or when the
        executor raised: then that step's requests have ended `error` and the engine goes on."""
        self._refuse_in_step("step")
        return self._watched(self._step) if self.has_unfinished else None

    def drain(self) -> None:
        """Complete what is in flight between two calls of `step`: in this loop, nothing is."""

    def _watched(self, run: Callable[[], Step | None]) -> Step | None:
        """`run` a step, and tell those who listen when it is over."""
        self._in_step = True
        self.hooks.hold()
        try:
            step = run()
        finally:
            self._in_step = False
            held = self.hooks.let_go()
        if step is not None:
            self.hooks.emit_moves(step)
            self.hooks.emit("step", step)
            self.scheduler.observe(step)
        for event, arguments in held:
            self.hooks.emit(event, *arguments)
        return step

    def _step(self) -> Step | None:
        clock = self.clock
        clock.begin_step()
        start = clock.now
        schedule = self._decide(start)
        if not schedule.rows:
            raise EngineStuck(self._describe(schedule))
        batch = self._batch(schedule)
        self._mark_admitted(batch, start)
        try:
            result = self.executor.execute(batch.rows, batch.moves)
        except Exception:
            log.exception("the executor raised; the requests of this step end with an error")
            self._fail(batch)
            clock.end_step(0.0)
            return None
        events = self._drain()
        self._tokens_wanted = self.hooks.wanted("token")
        outcome = self._apply(batch.rows, result)
        duration = clock.end_step(result.seconds)
        for request in outcome.first:
            request.first_token_time = clock.now
        self._release(outcome.ended)
        return self._record(batch, start, duration, result, outcome, events, self._drain())

    def _decide(self, now: int) -> Schedule:
        """Let the scheduler decide, and carry out its admissions and preemptions."""
        schedule = self.scheduler.schedule(
            self.waiting, self.running, self.kv_cache, self.budget, now
        )
        for request in schedule.preempted:
            self.running.remove(request)
            request.status = Status.WAITING
            self.waiting.add(request)
        for request in schedule.admitted:
            self.waiting.remove(request)
            request.status = Status.RUNNING
            self.running.add(request)
        return schedule

    def _batch(self, schedule: Schedule) -> Batch:
        """The decision with its waits and moves, told to who listens."""
        # Both as things stand before the step is applied, which changes who decodes and who ends.
        num_live = len(self.running) - self._num_done
        waits = complete_waits(schedule, self.waiting, self.running, num_live)
        prefills = [row for row in schedule.rows if not row.request.in_decode]
        self.hooks.emit("scheduled", schedule)
        return Batch(
            schedule.rows,
            tuple([(row.request.request_id, row.num_new_tokens) for row in prefills]),
            waits,
            self.kv_cache.take_moves(),
            schedule.admitted,
        )

    def _fail(self, batch: Batch) -> None:
        """Nothing of this step can be trusted: neither its rows nor what it should have copied."""
        lost = {row.request.request_id for row in batch.rows} | self.kv_cache.lost(batch.moves)
        for request in [*self.running, *self.waiting]:
            if request.request_id not in lost:
                continue
            if request.status is Status.WAITING:  # its copy in CPU memory was never made
                self.kv_cache.free(request)
                request.num_computed_tokens, request.in_decode = 0, False
            else:
                self._leave(request, request.finish_reason or FinishReason.ERROR)
        self._release(())

    def _mark_admitted(self, batch: Batch, now: int) -> list[OutputStream]:
        """Note when those that `batch` admitted were first scheduled, before they compute.
        Returns the streams of those that never were before."""
        streams = [self._streams[request.request_id] for request in batch.admitted]
        first = [stream for stream in streams if stream.first_scheduled_time is None]
        for stream in first:
            stream.first_scheduled_time = now
            stream.num_cached_tokens = stream.request.num_computed_tokens
        return first

    def _apply(self, rows: Sequence[Row], result: Result) -> Outcome:
        """Count computed tokens and append sampled ones."""
        outcome = Outcome()
        block_size, commit = self.config.block_size, self.kv_cache.commit
        for row, sampled in zip(rows, result.sampled, strict=True):
            request = row.request
            computed = request.num_computed_tokens + row.num_new_tokens
            request.num_computed_tokens = computed
            if computed % block_size == 0 or row.num_new_tokens > 1:
                commit(request)  # a block may have become full
            if sampled is not None:
                self._append(request, sampled, outcome)
                if request.forks:
                    self._fork(request, result, outcome)
        return outcome

    def _append(self, request: Request, sampled: Sampled, outcome: Outcome) -> None:
        """One more output token, and what follows from it."""
        request.num_output_tokens = count = request.num_output_tokens + 1
        if not request.in_decode:
            request.in_decode = True
            if count == 1:
                outcome.first.append(request)
        if request.prompt_token_ids is not None:
            request.output_token_ids.append(sampled.token_id)
            outcome.tokens[request.request_id] = (sampled.token_id,)
        if request.true_output_len is None:
            text, reason = self._streams[request.request_id].push(sampled)
            if text:
                outcome.text[request.request_id] = text
            if reason is not None:
                outcome.ended.append((request, reason))
        elif count >= request.true_output_len:  # simulated: the end is given, there is no text
            outcome.ended.append((request, FinishReason.STOP))
        elif count >= request.max_tokens:
            outcome.ended.append((request, FinishReason.LENGTH))
        if self._tokens_wanted:
            self.hooks.tell("token", request, sampled)

    def _fork(self, parent: Request, result: Result, outcome: Outcome) -> None:
        """The prompt of `parent` is computed: its other answers begin, each with its own token."""
        forks, parent.forks = parent.forks, []
        streams = self._answers[parent.request_id]
        for child in forks:
            stream = self._streams[child.request_id] = streams[child.fork]
            stream.first_scheduled_time = streams[0].first_scheduled_time
            child.num_computed_tokens = parent.num_computed_tokens
            self._append(child, result.forked[child.request_id], outcome)
            begin = len(self._log)
            if self.scheduler.fork(parent, child, self.running, self.kv_cache):
                child.status = Status.RUNNING
                self.running.add(child)
            else:
                if len(self._log) == begin:
                    self._log.append(Forked(parent.request_id, child.request_id, ()))
                self._log.append(Preempted(child.request_id))
                child.status, child.num_computed_tokens = Status.WAITING, 0
                child.in_decode, child.num_preemptions = False, 1
                self.waiting.add(child)
            self.scheduler.forked(child)
            self.hooks.tell("forked", parent, child)

    def _release(self, ended: Sequence[tuple[Request, FinishReason]]) -> None:
        """Let those leave that the scheduler lets go; the others keep slot and blocks, done."""
        for request, reason in ended:
            if request.status is Status.WAITING:  # a fork that found no room, and needs none
                self._leave(request, reason)
            else:
                request.status, request.finish_reason = Status.DONE, reason
                request.in_decode = False
        if not ended and not self._num_done:
            return
        done = [request for request in self.running if request.status is Status.DONE]
        leaving = self.scheduler.release(self.running, done) if done else ()
        for request in list(leaving):
            assert request.finish_reason is not None
            self._leave(request, request.finish_reason)
        for request, _ in ended:
            if request.status is Status.DONE:
                self._log.append(Done(request.request_id))
        self._num_done = sum(request.status is Status.DONE for request in done)

    def _leave(self, request: Request, reason: FinishReason) -> None:
        self._depart(request, reason)
        self._close(request, reason)

    def _depart(self, request: Request, reason: FinishReason) -> None:
        """The request leaves the queues and its blocks return."""
        queue = self.waiting if request.status is Status.WAITING else self.running
        queue.remove(request)
        request.status = Status.FINISHED
        request.finish_reason = reason
        request.finished_time = self.clock.now
        self._log.append(Finished(request.request_id, reason.value))
        self.kv_cache.free(request)
        self.scheduler.finished(request)

    def _close(self, request: Request, reason: FinishReason) -> None:
        """Its answer is complete: who asked is told when the last of the answers is."""
        del self._streams[request.request_id]
        name = parent_id(request.request_id, request.fork)
        for unborn in request.forks:  # they end with the sequence that they would have come from
            unborn.status, unborn.finish_reason = Status.FINISHED, reason
        answers = self._answers[name]
        if all(stream.request.status is Status.FINISHED for stream in answers):
            del self._answers[name]
            if self.hooks.wanted("finished"):
                self.hooks.tell("finished", request_output(answers, self.clock.now))

    # ---- the record --------------------------------------------------------------------------

    def _record(
        self,
        batch: Batch,
        start: int,
        duration: int,
        result: Result,
        outcome: Outcome,
        events: tuple[Event, ...],
        after: tuple[Event, ...],
    ) -> Step:
        """The step as others see it: what changed."""
        step = Step(
            index=self._next_step,
            start=start,
            duration=duration,
            transfer=min(duration, round(result.transfer_seconds * 1e9)),
            prefills=batch.prefills,
            waits=None if batch.waits == self._last_waits else batch.waits,
            events=events,
            after=after,
            tokens=outcome.tokens,
            text=outcome.text,
            wasted=outcome.wasted,
        )
        self._last_waits = batch.waits
        self._next_step += 1
        self.scheduler.computed = batch.rows
        return step

    @property
    def pending_events(self) -> tuple[Event, ...]:
        """Events after the last step (aborts, rejections): they belong to the next step, or to
        the closing record."""
        return tuple(self._log)

    def _drain(self) -> tuple[Event, ...]:
        if not self._log:
            return ()
        events = tuple(self._log)
        self._log.clear()
        return events

    def _refuse_in_step(self, call: str) -> None:
        if self._in_step:
            raise RuntimeError(
                f"Engine.{call} was called in the middle of a step, by a hook on 'scheduled' or "
                "'attention'. Use a hook on 'step', which is called when the step is over."
            )

    def _describe(self, schedule: Schedule) -> str:
        waits = "; ".join(f"{w.who}: {w.reason} (needs {w.needs})" for w in schedule.waits)
        return (
            f"scheduler {self.scheduler.name!r} scheduled nothing with {len(self.waiting)} waiting "
            f"and {len(self.running)} running, {self.kv_cache.num_free_blocks} of "
            f"{self.config.num_blocks} blocks free, and nothing can change that. "
            f"Reasons given: {waits or 'none'}."
        )
