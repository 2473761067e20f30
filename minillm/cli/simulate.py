"""`minillm simulate`: a workload in simulated time, on any model and hardware."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from minillm import simulation
from minillm.cli import options
from minillm.cli.figures import figures
from minillm.cli.shell import busy, fail, output
from minillm.workload.readers import READERS, TraceFileError
from minillm.workload.spec import RequestSpec
from minillm.workload.synthetic import synthetic


def simulate(
    model: Annotated[
        str, typer.Option(help="A published model, pocket, a folder with config.json, a hub id.")
    ] = "llama-2-7b",
    hardware: Annotated[str, typer.Option(help="A device's name, e.g. h100-sxm.")] = "a100-80gb",
    tensor_parallel: Annotated[int, typer.Option(min=1, help="Devices to split it over.")] = 1,
    scheduler: Annotated[str, typer.Option(help="A system's name, e.g. vllm.")] = "sarathi",
    dataset: Annotated[
        str, typer.Option(help="Lengths: a data set's name, or PROMPT,OUTPUT for all alike.")
    ] = "sharegpt",
    num_prompts: Annotated[int, typer.Option(min=1, help="How many requests.")] = 500,
    request_rate: Annotated[
        float | None,
        typer.Option(help="Requests per second, inf for all at once; by default the data set's."),
    ] = None,
    burstiness: Annotated[
        float | None, typer.Option(help="1 is Poisson, less comes in bursts.")
    ] = None,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Send only when fewer are being served.")
    ] = None,
    trace_file: Annotated[
        Path | None, typer.Option(help="A published trace in place of a data set.")
    ] = None,
    trace_format: Annotated[str, typer.Option(help=f"Its format: {', '.join(READERS)}.")] = "azure",
    goodput: Annotated[
        list[str] | None, typer.Option(help="A limit, e.g. ttft:200 or tpot:50 (ms); repeatable.")
    ] = None,
    block_size: options.BlockSize = None,
    num_blocks: options.NumBlocks = None,
    max_num_batched_tokens: options.Budget = None,
    max_num_seqs: options.MaxSeqs = None,
    max_model_len: Annotated[
        int | None, typer.Option(min=1, help="Context; may exceed the model's own.")
    ] = None,
    seed: options.Seed = 0,
    record: Annotated[Path | None, typer.Option(help="Write the trace to this file.")] = None,
) -> None:
    """Serve a workload in simulated time and print what came of it."""
    limits = _limits(goodput or [])
    workload = (
        _read(trace_file, trace_format)
        if trace_file is not None
        else _make(num_prompts, dataset, request_rate, burstiness, seed)
    )
    asked = {
        "block_size": block_size,
        "num_blocks": num_blocks,
        "max_num_batched_tokens": max_num_batched_tokens,
        "max_num_seqs": max_num_seqs,
        "max_model_len": max_model_len,
    }
    settings: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    with busy(f"Simulating {len(workload):,} requests"):
        summary = simulation.simulate(
            workload,
            model,
            hardware,
            scheduler,
            tensor_parallel=tensor_parallel,
            max_concurrency=max_concurrency,
            record=False if record is None else record,
            seed=seed,
            **settings,
        )
    header, console = summary.header, output()
    device = header.device.removeprefix("simulated: ")
    console.print(f"[bold]{header.scheduler}[/bold] · {header.model} on {device}, simulated\n")
    metrics = summary.metrics(limits)
    console.print(figures(metrics))
    if limits:
        told = ", ".join(f"{name} ≤ {limit:g} ms" for name, limit in limits.items())
        console.print(f"goodput: {metrics['request_goodput']:.2f} requests/s with {told}")
    refused = [request.rejected for request in summary.requests if request.rejected]
    if refused:
        console.print(
            f"refused, {len(refused):,} requests, the first: {refused[0]}",
            style="red",
            markup=False,
        )
    if not summary.num_steps:
        fail("no request could be served")
    if record is not None:
        console.print(f"\nRecorded: minillm replay {record}", markup=False)


def _make(
    num_prompts: int, dataset: str, rate: float | None, burstiness: float | None, seed: int
) -> list[RequestSpec]:
    pair = re.fullmatch(r"(\d+),(\d+)", dataset)
    lengths = (int(pair[1]), int(pair[2])) if pair else dataset
    try:
        return synthetic(num_prompts, lengths, rate=rate, burstiness=burstiness, seed=seed)
    except ValueError as error:
        fail(str(error))


def _read(path: Path, kind: str) -> list[RequestSpec]:
    if kind not in READERS:
        fail(f"unknown trace format {kind!r}. Known: {', '.join(READERS)}.")
    try:
        return READERS[kind](path)
    except TraceFileError as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror or error}")


def _limits(goodput: list[str]) -> dict[str, float]:
    limits = {}
    for limit in goodput:
        name, _, value = limit.partition(":")
        try:
            limits[name] = float(value)
        except ValueError:
            fail(f"a goodput limit is NAME:MILLISECONDS, e.g. ttft:200, not {limit!r}")
        if name not in ("ttft", "tpot", "e2el"):
            fail(f"unknown goodput limit {name!r}. Known: ttft, tpot, e2el.")
    return limits
