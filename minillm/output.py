"""From sampled tokens to what the caller sees: text, stop conditions, RequestOutput."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minillm.detokenizer import Detokenizer
from minillm.execution.batch import Sampled
from minillm.request import (
    CompletionOutput,
    FinishReason,
    Logprob,
    Request,
    RequestMetrics,
    RequestOutput,
)


@dataclass(slots=True)
class OutputStream:
    """The visible side of one request: its text so far, and when it must stop.

    `eos_token_ids` end it unless `ignore_eos`. Text that might be the start of a stop string is
    held back until it is known not to be.
    """

    request: Request
    detokenizer: Detokenizer
    eos_token_ids: frozenset[int]
    text: str = ""
    logprobs: list[dict[int, Logprob]] = field(default_factory=list)
    stop_reason: str | int | None = None
    first_scheduled_time: int | None = None
    num_cached_tokens: int = 0

    @classmethod
    def open(cls, request: Request, tokenizer: Any, eos_token_ids: frozenset[int]) -> OutputStream:
        """`tokenizer` None serves token ids without text."""
        prompt_ids = request.prompt_token_ids or ()
        sampling = request.sampling
        detokenizer = Detokenizer(
            tokenizer, prompt_ids, sampling.stop, min_tokens=sampling.min_tokens
        )
        return cls(request, detokenizer, eos_token_ids)

    def push(self, sampled: Sampled) -> tuple[str, FinishReason | None]:
        """Take one sampled token, already appended to the request's. Returns the text that became
        final with it, and why generation ends here, if it does."""
        request = self.request
        if sampled.logprobs is not None:
            self.logprobs.append(sampled.logprobs)
        reason, text = self._end(sampled.token_id), ""
        if reason is not FinishReason.STOP:
            delta = self.detokenizer.push([sampled.token_id])
            text = delta.text
            if delta.stop is not None:
                self.stop_reason = delta.stop
                reason = FinishReason.STOP
            elif reason is None and len(request.output_token_ids) >= request.max_tokens:
                reason = FinishReason.LENGTH
        if reason is not None and not isinstance(self.stop_reason, str):
            text += self.detokenizer.flush()
        self.text += text
        return text, reason

    def _end(self, token: int) -> FinishReason | None:
        request, sampling = self.request, self.request.sampling
        if len(request.output_token_ids) < sampling.min_tokens:
            return None
        if token in sampling.stop_token_ids:
            self.stop_reason = token
            return FinishReason.STOP
        if token in self.eos_token_ids and not sampling.ignore_eos:
            return FinishReason.STOP
        return None

    def completion(self) -> CompletionOutput:
        """This answer as the caller sees it now."""
        request = self.request
        reason = request.finish_reason
        return CompletionOutput(
            index=request.fork,
            text=self.text,
            token_ids=list(request.output_token_ids),
            logprobs=list(self.logprobs) if request.sampling.logprobs is not None else None,
            finish_reason=None if reason is None else reason.value,
            stop_reason=self.stop_reason,
        )


def request_output(streams: Sequence[OutputStream], finished_time: int | None) -> RequestOutput:
    """A request as the caller sees it now: the first of `streams` is its own, the others those of
    its forks. Times in seconds of engine time; `finished_time` in ns."""
    stream = streams[0]
    request = stream.request
    return RequestOutput(
        request_id=request.request_id,
        prompt=request.prompt,
        prompt_token_ids=list(request.prompt_token_ids or ()),
        outputs=[each.completion() for each in streams],
        finished=all(each.request.finish_reason is not None for each in streams),
        metrics=RequestMetrics(
            arrival_time=request.arrival_time / 1e9,
            first_scheduled_time=_seconds(stream.first_scheduled_time),
            first_token_time=_seconds(request.first_token_time),
            finished_time=_seconds(finished_time),
            num_preemptions=sum(each.request.num_preemptions for each in streams),
            num_cached_tokens=stream.num_cached_tokens,
            num_output_tokens=max(each.request.num_output_tokens for each in streams),
        ),
    )


def _seconds(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / 1e9
