"""The same loop, one step ahead: schedule and launch step n + 1 while step n is computed.

A GPU works on what it was given while the CPU goes on, so a plain loop leaves it idle between two
steps: for the scheduler, the packing of the batch, the detokenizer, the recorder. Here step n + 1
is decided before the tokens of step n are known, as if everybody had sampled one (vLLM calls it
asynchronous scheduling; SGLang, the overlap scheduler). What is not known yet:

    the tokens    the executor feeds them from step n to step n + 1 where they are, on the device
    their count   one for each row that samples: assumed when a step is launched
    who ends      by length: known at launch, so it leaves then, as in the plain loop. By an end
                  token or a stop string: known a step late, so it is computed once more for
                  nothing. That row is `wasted`, and said to be

Everything is computed in the order of launching, so blocks may be given to somebody else as soon
as their owner has left the queues. While a request is in the engine that needs its own tokens
before the next can be sampled (penalties) or that is yet to fork, the plain loop runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from minillm.engine import Engine, EngineStuck, Outcome
from minillm.events import Done, Finished, Step
from minillm.execution.batch import LaunchingExecutor, Result, Sampled
from minillm.flight import Failed, Flight
from minillm.request import FinishReason, Request, RequestOutput, SamplingParams, Status
from minillm.scheduling import Schedule

log = logging.getLogger(__name__)


class OverlappedEngine(Engine):
    """`step()` returns step n while step n + 1 is in flight; `drain()` lands what is."""

    executor: LaunchingExecutor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flight: Flight | None = None
        self._launching: Flight | None = None  # the flight with which those leave who leave now
        self._awaited: set[Request] = set()  # they have left the queues; their last token is due
        self._plain: set[str] = set()  # requests that the plain loop must serve

    def add_request(self, *args: Any, **kwargs: Any) -> str:
        """See `Engine.add_request`."""
        request_id = super().add_request(*args, **kwargs)
        answers = self._answers.get(request_id)  # none, if a hook has aborted it already
        if answers is not None and not may_look_ahead(answers[0].request.sampling):
            self._plain.add(request_id)
        return request_id

    def abort(self, request_id: str) -> bool:
        """See `Engine.abort`. One that has ended by length keeps its reason: its last token comes
        with the next step."""
        self._refuse_in_step("abort")
        for stream in self._answers.get(request_id, ()):
            request = stream.request
            if request.status is Status.FINISHED and request.request_id in self._streams:
                return True
            if request not in self._awaited:
                request.num_output_tokens = len(request.output_token_ids)
        return super().abort(request_id)

    def output(self, request_id: str) -> RequestOutput | None:
        """See `Engine.output`. Nobody has finished before the last token is here, and what a step
        in flight will have sampled is not counted."""
        output = super().output(request_id)
        if output is None:
            return None
        requests = [stream.request for stream in self._answers[request_id]]
        outputs = [
            replace(each, finish_reason=None) if request in self._awaited else each
            for request, each in zip(requests, output.outputs, strict=True)
        ]
        count = max(len(request.output_token_ids) for request in requests)
        return replace(
            output,
            outputs=outputs,
            finished=all(each.finish_reason is not None for each in outputs),
            metrics=replace(output.metrics, num_output_tokens=count),
        )

    def drain(self) -> None:
        """Complete the step in flight, if there is one, and launch no other."""
        self._refuse_in_step("drain")
        if self._flight is not None:
            self._watched(partial(self._land, look_ahead=False))

    @property
    def in_flight(self) -> bool:
        """Is a step launched whose record is yet to come?"""
        return self._flight is not None

    @property
    def has_unfinished(self) -> bool:
        return super().has_unfinished or self.in_flight

    # ---- one step ----------------------------------------------------------------------------

    def _watched(self, run: Callable[[], Step | None]) -> Step | None:
        self.clock.resume()  # what the caller did between two calls is no part of a step
        try:
            return super()._watched(run)
        finally:
            self.clock.pause()

    def _step(self) -> Step | None:
        if self._flight is None:
            if self._plain:
                return super()._step()
            self.clock.begin_step()
            schedule = self._decide(self.clock.now)
            if not schedule.rows:
                raise EngineStuck(self._describe(schedule))
            self._flight = self._launch(schedule)
            self._commit(self._flight)  # nothing is in flight before it: its tokens are known
            self._let_leave(self._flight)
            self._flight.after = self._drain()
        return self._land(look_ahead=not self._plain)

    def _land(self, look_ahead: bool) -> Step | None:
        """Launch the next step if that may be, then wait for the one in flight and apply it."""
        flight, ahead = self._flight, None
        assert flight is not None
        if look_ahead and (schedule := self._decide(self.clock.now)).rows:
            ahead = self._launch(schedule)
            self._let_leave(ahead)
        self._flight = ahead
        try:
            result = flight.handle.result()
        except BaseException as error:
            log.exception("the executor raised; the requests in flight end with an error")
            self._flight = None
            self._crash([flight, ahead] if ahead else [flight])
            self.clock.end_step(0.0)
            if not isinstance(error, Exception):  # an interrupt: it leaves the engine whole
                raise
            return None
        start = self.clock.now
        self._tokens_wanted = self.hooks.wanted("token")
        outcome = self._take(flight, result)
        duration = self.clock.end_step(result.seconds)
        for request in outcome.first:
            request.first_token_time = self.clock.now
        for request, reason in flight.ended.items():
            self._complete(request, reason, flight)
        self._end(outcome.ended, ahead)
        after = flight.after
        if ahead is not None:
            self._commit(ahead)
            ahead.after = self._drain()
            self.clock.begin_step()  # it runs already: its time begins where this step's ends
            for stream in ahead.entered:
                stream.first_scheduled_time = self.clock.now
        else:
            after += self._drain()
        after = tuple([flight.with_reason(event) for event in after])
        return self._record(flight.batch, start, duration, result, outcome, flight.events, after)

    def _launch(self, schedule: Schedule) -> Flight:
        """Begin a step, and count what it will have computed and sampled."""
        batch = self._batch(schedule)
        entered = self._mark_admitted(batch, self.clock.now)
        events = self._drain()
        try:
            handle = self.executor.launch(batch.rows, batch.moves)
        except BaseException as error:
            handle = Failed(error)
        flight = Flight(batch, events, handle, entered)
        for row in batch.rows:
            request, samples = row.request, row.samples
            request.num_computed_tokens += row.num_new_tokens
            if not samples:
                continue
            request.num_output_tokens += 1
            request.in_decode = True
            if request.num_output_tokens >= request.max_tokens:
                flight.ended[request] = FinishReason.LENGTH
        return flight

    def _let_leave(self, flight: Flight) -> None:
        """Those who end by length leave the queues; their answers stay open for the last token."""
        self._launching = flight
        self._awaited.update(flight.ended)
        self._release(list(flight.ended.items()))
        self._launching = None

    def _commit(self, flight: Flight) -> None:
        """Full blocks become findable, now that all the tokens in them are known."""
        size = self.config.block_size
        for row in flight.batch.rows:
            request = row.request
            full = row.num_new_tokens > 1 or request.num_computed_tokens % size == 0
            if full and request.status is Status.RUNNING:
                self.kv_cache.commit(request)

    # ---- its tokens --------------------------------------------------------------------------

    def _take(self, flight: Flight, result: Result) -> Outcome:
        """Append what was sampled; notice who had ended before."""
        outcome, wasted = Outcome(), flight.late
        for row, sampled in zip(flight.batch.rows, result.sampled, strict=True):
            request = row.request
            if request not in flight.ended and self._has_ended(request):
                wasted.append(request.request_id)
            elif sampled is not None:
                self._take_token(request, sampled, flight, outcome)
        outcome.wasted = tuple(wasted)
        return outcome

    def _has_ended(self, request: Request) -> bool:
        if request.request_id not in self._streams:
            return True
        return request.finish_reason is not None and request not in self._awaited

    def _take_token(
        self, request: Request, sampled: Sampled, flight: Flight, outcome: Outcome
    ) -> None:
        name, token = request.request_id, sampled.token_id
        request.output_token_ids.append(token)
        if len(request.output_token_ids) == 1:
            outcome.first.append(request)
        outcome.tokens[name] = (token,)
        text, reason = self._streams[name].push(sampled)
        if text:
            outcome.text[name] = text
        if request in flight.ended:
            assert reason is not None  # its length was reached; the token may be an end, too
            flight.ended[request] = reason
        elif reason is not None:
            outcome.ended.append((request, reason))
        if self._tokens_wanted:
            self.hooks.tell("token", request, sampled)

    # ---- who leaves --------------------------------------------------------------------------

    def _close(self, request: Request, reason: FinishReason) -> None:
        if self._launching is not None:  # not before its step is over, as a static batch at its end
            self._launching.ended[request] = reason
        elif request not in self._awaited:
            super()._close(request, reason)
            if self._plain:
                self._plain.intersection_update(self._answers)

    def _complete(self, request: Request, reason: FinishReason, flight: Flight) -> None:
        """The last token is here of one that left the queues when `flight` was launched; or its
        static batch was, which may end with the flight after it."""
        self._awaited.discard(request)
        flight.reasons[request.request_id] = request.finish_reason = reason
        later = self._flight
        if later is not None and later is not flight and request in later.ended:
            later.ended[request] = reason
        elif request.status is Status.FINISHED and request.request_id in self._streams:
            request.finished_time = self.clock.now
            self._close(request, reason)

    def _end(self, found: Sequence[tuple[Request, FinishReason]], ahead: Flight | None) -> None:
        """Those whose tokens ended them. Some would have ended by length one step later, and so
        have left the queues already."""
        begin = len(self._log)
        for request, reason in found:
            request.num_output_tokens = len(request.output_token_ids)
            if request in self._awaited:
                assert ahead is not None
                del ahead.ended[request]
                self._complete(request, reason, ahead)
        self._release([(r, reason) for r, reason in found if r.finish_reason is None])
        if ahead is not None:
            rows = {row.request.request_id for row in ahead.batch.rows}
            gone = [event.id for event in self._log[begin:] if type(event) is Finished]
            ahead.late += [name for name in gone if name not in rows]

    def _crash(self, flights: Sequence[Flight]) -> None:
        """Nothing in flight can be trusted, nor what blocks are said to hold because of it."""
        rows = [row.request for flight in flights for row in flight.batch.rows]
        names = {request.request_id for request in rows}
        events = [event for each in flights for event in (*each.events, *each.after)]
        self._log[:0] = [e for e in events if type(e) is not Done or e.id not in names]
        for request in rows:
            request.num_output_tokens = len(request.output_token_ids)
        for flight in flights:
            self._fail(flight.batch)
            for request, reason in list(flight.ended.items()):
                lost = request in self._awaited
                self._complete(request, FinishReason.ERROR if lost else reason, flight)
            self._log[:] = [flight.with_reason(event) for event in self._log]
        self.kv_cache.forget_contents()


def may_look_ahead(sampling: SamplingParams) -> bool:
    """False where the next token depends on the ids of those before it, and for parallel samples,
    which are born with their first token."""
    return sampling.n == 1 and not sampling.has_penalties
