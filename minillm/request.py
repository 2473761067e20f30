"""What is asked of the engine and what it answers: SamplingParams, Request, RequestOutput.

A `Request` is the engine's view of one sequence. Its progress is two numbers, as in vLLM:
`num_tokens` (prompt plus generated so far) and `num_computed_tokens` (those whose K and V are
in the cache). Prefill, chunked prefill, recompute after preemption and decode are all "compute
some of the tokens between the two"; a token is sampled when they meet.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from minillm.messages.refusal import Refusal


class RequestRejected(Refusal):
    """A request that can never be served, refused at the door with the numbers that show why."""


class Status(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"  # generation ended, but a static batch still holds its slot
    FINISHED = "finished"


class FinishReason(StrEnum):
    STOP = "stop"  # end-of-sequence token, stop token or stop string
    LENGTH = "length"  # max_tokens or the context is used up
    ABORT = "abort"
    ERROR = "error"  # the executor raised while this request was in the batch


MIN_TEMPERATURE = 0.001
MAX_N = 256


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise ValueError(message)


def _require_number(name: str, value: object, kind: type[int] | type[float]) -> None:
    allowed = (int, float) if kind is float else (int,)
    if isinstance(value, bool) or not isinstance(value, allowed) or value != value:
        number = "number" if kind is float else "whole number"
        raise ValueError(f"{name} must be a {number}, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How to choose tokens and when to stop. Names and meanings are vLLM's.

    `temperature=0` is greedy. `max_tokens=None` means as many as the context and the KV pool
    allow. `seed` makes a request's draws its own; the draw at each output position depends on
    (seed, request, position) only, never on batch neighbours or preemption.
    """

    n: int = 1  # answers to sample: the prompt is computed once, and each is a fork of it
    temperature: float = 1.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    max_tokens: int | None = None
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None  # how many alternatives to report beside the sampled token

    def __post_init__(self) -> None:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        object.__setattr__(self, "stop", stop)
        object.__setattr__(self, "stop_token_ids", tuple(self.stop_token_ids or ()))
        for name in ("temperature", "top_p", "min_p"):
            _require_number(name, getattr(self, name), float)
        for name in ("repetition_penalty", "presence_penalty", "frequency_penalty"):
            _require_number(name, getattr(self, name), float)
        for name in ("n", "top_k", "min_tokens"):
            _require_number(name, getattr(self, name), int)
        for name in ("seed", "max_tokens", "logprobs"):
            if getattr(self, name) is not None:
                _require_number(name, getattr(self, name), int)
        _require(
            all(isinstance(text, str) for text in self.stop),
            f"stop must be text or a list of texts, got {self.stop!r}",
        )
        for token in self.stop_token_ids:
            _require_number("a stop token id", token, int)
        _require(1 <= self.n <= MAX_N, f"n must be between 1 and {MAX_N}, got {self.n}")
        _require(self.temperature >= 0, f"temperature must be ≥ 0, got {self.temperature}")
        _require(
            self.temperature == 0 or self.temperature >= MIN_TEMPERATURE,
            f"temperature must be 0 (greedy) or at least {MIN_TEMPERATURE}, got "
            f"{self.temperature}: logits divided by less overflow",
        )
        _require(self.top_k >= 0, f"top_k must be ≥ 0 (0 keeps all), got {self.top_k}")
        _require(0 < self.top_p <= 1, f"top_p must be in (0, 1], got {self.top_p}")
        _require(0 <= self.min_p <= 1, f"min_p must be in [0, 1], got {self.min_p}")
        _require(
            self.repetition_penalty > 0,
            f"repetition_penalty must be > 0, got {self.repetition_penalty}",
        )
        for name in ("presence_penalty", "frequency_penalty"):
            value = getattr(self, name)
            _require(-2 <= value <= 2, f"{name} must be in [-2, 2], got {value}")
        _require(
            self.max_tokens is None or self.max_tokens >= 1,
            f"max_tokens must be ≥ 1, got {self.max_tokens}",
        )
        _require(self.min_tokens >= 0, f"min_tokens must be ≥ 0, got {self.min_tokens}")
        _require(
            self.max_tokens is None or self.min_tokens <= self.max_tokens,
            f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}",
        )
        _require(all(self.stop), "a stop string must not be empty")
        _require(
            self.logprobs is None or 0 <= self.logprobs <= 20,
            f"logprobs must be between 0 and 20, got {self.logprobs}",
        )

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    @property
    def has_penalties(self) -> bool:
        """Do the tokens written so far change what may come next?"""
        return (
            self.repetition_penalty != 1
            or self.presence_penalty != 0
            or self.frequency_penalty != 0
        )


@dataclass(slots=True, eq=False)
class Request:
    """One sequence in the engine. Only the engine and the plan of a step change it.

    Times are engine-clock nanoseconds. A simulated request has no token ids
    (`prompt_token_ids is None`): its prompt is a length, and `content_ids` may say which of its
    blocks it shares with others.
    """

    request_id: str
    number: int  # order of addition: breaks ties between equal arrival times
    num_prompt_tokens: int
    sampling: SamplingParams
    max_tokens: int
    arrival_time: int
    prompt_token_ids: Sequence[int] | None = None
    prompt: str | None = None  # its text, where there is one: what a length predictor reads
    client: str | None = None
    priority: int = 0
    content_ids: Sequence[Hashable] | None = None  # stand-ins for token content, one per block
    fork: int = 0  # which of the n answers to its prompt: forks of request "7" are "7.1", "7.2" …
    forks: list[Request] = field(default_factory=list)  # to be born with the first token

    status: Status = Status.WAITING
    num_computed_tokens: int = 0
    num_output_tokens: int = 0
    output_token_ids: list[int] = field(default_factory=list)  # empty where the prompt has no ids
    in_decode: bool = False  # it runs, and only the last sampled token remains to be computed
    decode_row: Any = None  # its row in the batch, kept by the plan while it decodes …
    decode_slots: int = 0  # … and good until so many tokens are computed: then it needs a block
    num_preemptions: int = 0
    finish_reason: FinishReason | None = None
    first_token_time: int | None = None
    finished_time: int | None = None
    true_output_len: int | None = None  # hidden from schedulers: where a simulated end falls

    @property
    def num_tokens(self) -> int:
        """Prompt and generated tokens so far: what must be computed before the next sample."""
        return self.num_prompt_tokens + self.num_output_tokens

    @property
    def num_uncomputed_tokens(self) -> int:
        return self.num_prompt_tokens + self.num_output_tokens - self.num_computed_tokens

    @property
    def max_total_tokens(self) -> int:
        """KV slots this request can ever fill: the last sampled token is never computed."""
        return self.num_prompt_tokens + self.max_tokens - 1

    def token_ids(self, start: int, end: int) -> list[int]:
        """Token ids at positions [start, end) of prompt followed by output."""
        assert self.prompt_token_ids is not None, "a simulated request has no token ids"
        n = self.num_prompt_tokens
        if end <= n:
            return list(self.prompt_token_ids[start:end])
        if start >= n:
            return self.output_token_ids[start - n : end - n]
        return [*self.prompt_token_ids[start:], *self.output_token_ids[: end - n]]


@dataclass(frozen=True, slots=True)
class Logprob:
    """Log-probability of one token (after penalties, before temperature), and its rank from 1."""

    logprob: float
    rank: int


@dataclass(frozen=True, slots=True)
class CompletionOutput:
    index: int
    text: str
    token_ids: list[int]
    logprobs: list[dict[int, Logprob]] | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None  # the stop string or token id that ended it


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """Engine-clock seconds. `tpot` excludes the first token; None where undefined."""

    arrival_time: float
    first_scheduled_time: float | None
    first_token_time: float | None
    finished_time: float | None
    num_preemptions: int
    num_cached_tokens: int
    num_output_tokens: int

    @property
    def ttft(self) -> float | None:
        t = self.first_token_time
        return None if t is None else t - self.arrival_time

    @property
    def e2el(self) -> float | None:
        t = self.finished_time
        return None if t is None else t - self.arrival_time

    @property
    def tpot(self) -> float | None:
        if self.finished_time is None or self.first_token_time is None:
            return None
        n = self.num_output_tokens - 1
        return (self.finished_time - self.first_token_time) / n if n > 0 else None


@dataclass(frozen=True, slots=True)
class RequestOutput:
    """What the caller gets: `outputs[0].text`, `.token_ids`, `.finish_reason`; `metrics.ttft`."""

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    finished: bool
    metrics: RequestMetrics
