"""LLM: the offline face. Prompts in, completions out, and the trace of everything in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral

from minillm.build import build_engine, header_of
from minillm.chat import encode_prompt
from minillm.config import ConfigError
from minillm.door import check_vocabulary
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.request import FinishReason, RequestOutput, RequestRejected, SamplingParams
from minillm.scheduling import Scheduler
from minillm.trace.recorder import Recorder
from minillm.trace.records import Closing
from minillm.trace.trace import Trace
from minillm.workload.spec import Message

Prompt = str | Sequence[int]


class LLM:
    """A model with an engine around it.

        llm = LLM()                                    # the bundled pocket model
        outputs = llm.generate(["Once upon a time"], SamplingParams(temperature=0))
        outputs[0].outputs[0].text; outputs[0].metrics.ttft; llm.trace

    `model`: "pocket", a local folder, a hub id, or a model already loaded by `load_model`.
    `scheduler`: the name of a system or an instance of your own. `kv_cache`: "paged", "token" or
    "contiguous", the latter with `reserve` "max", "pow2" or "oracle". `preemption`: "recompute" or
    "swap", to `num_cpu_blocks` of CPU memory. `kv_cache_dtype`: "auto" (the model's) or "fp8", in
    which parity with `transformers` does not hold. `tensor_parallel`: processes to split the model
    over, see `load_model`. `async_scheduling`: decide a step while the one before is computed; on
    CUDA that is the default. `enforce_eager`: no CUDA graphs. `torch_compile`: fuse what lies
    between the attentions, for a minute at the start. None lets minillm choose.
    Raises ModelError, ConfigError.
    """

    def __init__(
        self,
        model: str | LoadedModel = "pocket",
        *,
        scheduler: str | Scheduler = "sarathi",
        kv_cache: str = "paged",
        reserve: str | None = None,
        block_size: int | None = None,
        num_blocks: int | None = None,
        num_cpu_blocks: int | None = None,
        gpu_memory_utilization: float = 0.9,
        max_num_seqs: int | None = None,
        max_num_batched_tokens: int | None = None,
        max_model_len: int | None = None,
        enable_prefix_caching: bool | None = None,
        preemption: str = "recompute",
        kv_cache_dtype: str = "auto",
        device: str = "auto",
        dtype: str = "auto",
        attention_backend: str = "auto",
        tensor_parallel: int = 1,
        async_scheduling: bool | None = None,
        enforce_eager: bool = False,
        torch_compile: bool = False,
        seed: int = 0,
    ) -> None:
        if isinstance(model, str):
            model = load_model(model, device=device, dtype=dtype, tensor_parallel=tensor_parallel)
        elif (device, dtype, tensor_parallel) != ("auto", "auto", 1):
            raise ConfigError(
                "this model is loaded already: give device, dtype and tensor_parallel to "
                "load_model."
            )
        self.loaded = model
        self.engine = build_engine(
            model,
            scheduler,
            attention_backend=attention_backend,
            gpu_memory_utilization=gpu_memory_utilization,
            async_scheduling=async_scheduling,
            enforce_eager=enforce_eager,
            torch_compile=torch_compile,
            kv_cache=kv_cache,
            reserve=reserve,
            block_size=block_size,
            num_blocks=num_blocks,
            num_cpu_blocks=num_cpu_blocks,
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            max_model_len=max_model_len,
            enable_prefix_caching=enable_prefix_caching,
            preemption=preemption,
            kv_cache_dtype=kv_cache_dtype,
            seed=seed,
        )
        self._recorder = Recorder(header_of(self.engine, model))
        self.engine.hooks.on("step", self._recorder.on_step)

    @property
    def trace(self) -> Trace:
        """The record of everything this LLM has done so far."""
        self.engine.drain()
        trace, events = self._recorder.trace, self.engine.pending_events
        if not events:
            return trace
        # aborts and failures that no step has followed yet: as if the run closed here
        closing = Closing(closing="stopped", time=self.engine.clock.now, events=events)
        return Trace(trace.header, trace.steps, closing)

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[RequestOutput]:
        """Complete every prompt (text or token ids), all in one continuous batch; outputs in the
        order of the prompts. `on_progress(finished, total)` is called as requests finish.

        Raises RequestRejected, before anything runs, when a prompt can never be served.
        """
        encoded = [self._encode(prompt) for prompt in _as_list(prompts)]
        return self._run(encoded, sampling_params, on_progress)

    def chat(
        self,
        conversations: Sequence[Message] | Sequence[Sequence[Message]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[RequestOutput]:
        """As `generate`, for chat messages: [{"role": "user", "content": "…"}], one conversation
        or a list of them."""
        if conversations and isinstance(conversations[0], dict):
            conversations = [conversations]  # type: ignore[list-item]
        encoded = [encode_prompt(messages, self.loaded.tokenizer) for messages in conversations]  # type: ignore[arg-type]
        return self._run(encoded, sampling_params, on_progress)

    def stream(
        self, prompt: Prompt | Sequence[Message], sampling_params: SamplingParams | None = None
    ) -> Iterator[RequestOutput]:
        """The growing output of one prompt, after each step that changed it. Leaving the loop
        early aborts the request."""
        text, token_ids = self._encode(prompt)
        request_id = self.engine.add_request(token_ids, sampling_params, prompt=text)
        seen = 0
        with self._collected([request_id]) as finished:
            while request_id not in finished:
                self.engine.step()
                output = self.engine.output(request_id)
                written = sum(len(each.token_ids) for each in output.outputs) if output else 0
                if output is not None and written > seen:
                    seen = written
                    yield output
            yield finished[request_id]

    def _encode(self, prompt: Prompt | Sequence[Message]) -> tuple[str | None, list[int]]:
        if isinstance(prompt, str):
            return encode_prompt(prompt, self.loaded.tokenizer)
        if prompt and isinstance(prompt[0], dict):
            return encode_prompt(prompt, self.loaded.tokenizer)  # type: ignore[arg-type]
        token_ids = list(prompt)
        for token in token_ids:
            if not _is_token(token):
                raise ValueError(f"a prompt is text or whole-number token ids, got {token!r}")
        return None, [int(token) for token in token_ids]  # type: ignore[arg-type]

    @contextmanager
    def _collected(self, ids: Sequence[str]) -> Iterator[dict[str, RequestOutput]]:
        """The outputs of the requests `ids` by id, as they finish; on the way out those that
        have not finished are aborted."""
        outputs: dict[str, RequestOutput] = {}
        mine = set(ids)

        def collect(output: RequestOutput) -> None:
            if output.request_id in mine:
                outputs[output.request_id] = output

        off = self.engine.hooks.on("finished", collect)
        try:
            yield outputs
        finally:
            off()
            for request_id in ids:
                self.engine.abort(request_id)
            self.engine.drain()

    def _run(
        self,
        encoded: Sequence[tuple[str | None, list[int]]],
        sampling: SamplingParams | Sequence[SamplingParams] | None,
        on_progress: Callable[[int, int], None] | None,
    ) -> list[RequestOutput]:
        engine = self.engine
        params = _one_each(sampling, len(encoded))
        for index, ((_, token_ids), each) in enumerate(zip(encoded, params, strict=True)):
            try:
                check_vocabulary(token_ids, engine.vocab_size)
                engine.check_fits(len(token_ids), each)
            except RequestRejected as refusal:
                raise RequestRejected(f"prompt {index}: {refusal}") from None
        ids = [
            engine.add_request(token_ids, each, prompt=text)
            for (text, token_ids), each in zip(encoded, params, strict=True)
        ]
        with self._collected(ids) as outputs:
            told = 0
            while len(outputs) < len(ids):
                engine.step()
                if on_progress is not None and len(outputs) > told:
                    told = len(outputs)
                    on_progress(told, len(ids))
        failed = [
            i
            for i in ids
            if any(each.finish_reason == FinishReason.ERROR for each in outputs[i].outputs)
        ]
        if failed:
            raise RuntimeError(
                f"{len(failed)} of {len(ids)} requests failed in the model: {', '.join(failed)}. "
                "The cause was logged; the engine is still usable."
            )
        return [outputs[request_id] for request_id in ids]


def _is_token(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _as_list(prompts: Prompt | Sequence[Prompt]) -> Sequence[Prompt]:
    """One prompt or many: token ids are integers, prompts are not."""
    if isinstance(prompts, str):
        return [prompts]
    prompts = list(prompts)  # type: ignore[assignment]  # an array of token ids is one too
    if prompts and _is_token(prompts[0]):
        return [prompts]  # type: ignore[list-item]
    return prompts  # type: ignore[return-value]


def _one_each(
    sampling: SamplingParams | Sequence[SamplingParams] | None, count: int
) -> Sequence[SamplingParams]:
    if sampling is None:
        sampling = SamplingParams()
    if isinstance(sampling, SamplingParams):
        return [sampling] * count
    if len(sampling) != count:
        raise ValueError(f"{len(sampling)} sampling parameters for {count} prompts")
    return sampling
