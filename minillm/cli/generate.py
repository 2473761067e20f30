"""`minillm generate`: one prompt, its text as it is written."""

from __future__ import annotations

from typing import Annotated

import typer

from minillm.bench import KVCacheDtype, Seed
from minillm.cli import options
from minillm.cli.groups import grouped
from minillm.cli.loading import load
from minillm.cli.shell import fail, notes, printable
from minillm.request import FinishReason, RequestOutput, SamplingParams
from minillm.scheduling import make_scheduler


@grouped
def generate(
    prompt: Annotated[str, typer.Argument(help="What to ask, or the text to continue.")],
    model: options.Model = "pocket",
    scheduler: Annotated[str, typer.Option(help="A system's name, e.g. vllm.")] = "sarathi",
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many; by default at the model's end.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Keep the likeliest tokens of this mass.")] = 1.0,
    seed: Seed = 0,
    chat: Annotated[
        bool | None,
        typer.Option(
            "--chat/--raw",
            help="Put the prompt into the model's chat template, or continue it as it is. "
            "By default chat where the model has a template.",
            show_default=False,
        ),
    ] = None,
    kv_cache_dtype: KVCacheDtype = "auto",
    device: options.Device = "auto",
    tensor_parallel: Annotated[
        int, typer.Option(min=1, help="Processes to split the model over, each on its own GPU.")
    ] = 1,
    threads: options.Threads = None,
) -> None:
    """Write the answer to one prompt, token by token."""
    policy = make_scheduler(scheduler)
    try:
        sampling = SamplingParams(
            temperature=temperature, top_p=top_p, max_tokens=max_tokens, seed=seed
        )
    except ValueError as error:
        fail(str(error))
    loaded = load(model, device, threads, tensor_parallel)
    if loaded.tokenizer is None:
        fail(f"{model} has no tokenizer, so it can neither read nor write text")
    has_template = loaded.chat_template is not None
    if chat and not has_template:
        fail(f"{model} has no chat template: use --raw")
    from minillm.llm import LLM

    llm = LLM(loaded, scheduler=policy, kv_cache_dtype=kv_cache_dtype, seed=seed)
    as_chat = has_template if chat is None else chat
    shown, last = 0, None
    for last in llm.stream([{"role": "user", "content": prompt}] if as_chat else prompt, sampling):
        text = last.outputs[0].text
        typer.echo(printable(text[shown:]), nl=False)
        shown = len(text)
    typer.echo()
    loaded.close()
    if last is not None:
        if last.outputs[0].finish_reason == FinishReason.ERROR:
            fail("the model failed in the middle of the answer; the cause stands above")
        notes().print(_summary(last), style="dim", markup=False)


def _summary(output: RequestOutput) -> str:
    metrics, completion = output.metrics, output.outputs[0]
    parts = [f"{metrics.num_output_tokens} tokens", f"ended by {completion.finish_reason}"]
    if metrics.ttft is not None:
        parts.append(f"first after {metrics.ttft * 1e3:.0f} ms")
    if metrics.tpot:
        parts.append(f"then {1 / metrics.tpot:.0f} tokens/s")
    return " · ".join(parts)
