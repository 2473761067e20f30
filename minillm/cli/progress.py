"""Progress of a real engine, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from minillm.cli.shell import notes
from minillm.engine import Engine
from minillm.events import Rejected, Step
from minillm.request import RequestOutput


@contextmanager
def following(engine: Engine, num_requests: int) -> Iterator[Callable[[Step | None], None]]:
    """Gives a function to call with each step; requests done are those that ended or were
    refused."""
    done = steps = tokens = 0

    def ended(_: RequestOutput) -> None:
        nonlocal done
        done += 1

    columns = (
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("requests · {task.description}"),
        TimeElapsedColumn(),
    )
    off = engine.hooks.on("finished", ended)
    with Progress(*columns, console=notes()) as progress:
        task = progress.add_task("", total=num_requests)

        def show(step: Step | None) -> None:
            nonlocal done, steps, tokens
            if step is not None:
                steps += 1
                tokens += sum(map(len, step.tokens.values()))
                done += sum(isinstance(event, Rejected) for event in step.events)
            progress.update(
                task,
                completed=done,
                description=f"step {steps:,} · {len(engine.running)} running · "
                f"{len(engine.waiting)} waiting · {tokens:,} tokens",
            )

        yield show
    off()
