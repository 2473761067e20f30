"""`minillm bench serve`: a workload on a real model, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from minillm.bench import EngineSettings, MaxConcurrency, Reporting, WorkloadSettings
from minillm.bench import serve as serve_requests
from minillm.bench.serving import sampled
from minillm.cli import options
from minillm.cli.bench.report import report, serving
from minillm.cli.groups import grouped
from minillm.cli.loading import load
from minillm.cli.progress import following
from minillm.cli.shell import output
from minillm.scheduling import make_scheduler


@grouped
def serve(
    model: options.Model = "pocket",
    scheduler: options.SchedulerName = "sarathi",
    *,
    workload: WorkloadSettings,
    request_rate: options.RequestRate = None,
    max_concurrency: MaxConcurrency = None,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    ignore_eos: Annotated[
        bool, typer.Option(help="Texts too run to their output tokens, whatever the model says.")
    ] = False,
    num_warmups: Annotated[
        int, typer.Option(min=0, help="Requests served before, and not counted.")
    ] = 0,
    engine: EngineSettings,
    reporting: Reporting,
    device: options.Device = "auto",
    threads: options.Threads = None,
    record: Annotated[Path | None, typer.Option(help="Write the trace to this file.")] = None,
) -> None:
    """Serve a workload on a real model and print what came of it, as `vllm bench serve` does."""
    policy = make_scheduler(scheduler)
    loaded = load(model, device, threads)
    from minillm.llm import LLM

    tokenizer = loaded.tokenizer
    count = None if tokenizer is None else lambda text: len(tokenizer(text)["input_ids"])
    requests = sampled(workload.requests(request_rate, count), temperature, ignore_eos)
    llm = LLM(loaded, scheduler=policy, seed=workload.seed, **engine.arguments())
    with following(llm.engine, len(requests) + num_warmups) as show:
        run = serve_requests(
            llm, requests, max_concurrency=max_concurrency, num_warmups=num_warmups, on_step=show
        )
    output().print(f"[bold]{run.header.scheduler}[/bold] · {model} on {run.header.device}")
    settings = serving(run, requests, reporting, workload, request_rate, max_concurrency)
    report(run, settings, reporting)
    if record is not None:
        llm.trace.save(record)
        output().print(f"\nRecorded: minillm replay {record}", markup=False)
