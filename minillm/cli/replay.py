"""`minillm replay`: a recording in the terminal, or as a page of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from minillm.cli.frame import frame
from minillm.cli.shell import busy, fail, notes, output
from minillm.trace import Trace, apply

_SHORTEST_PAUSE = 0.02  # seconds: a terminal shows no more frames than that


def replay(
    file: Annotated[Path, typer.Argument(help="A trace file.")],
    step: Annotated[int | None, typer.Option(help="Show this step alone; −1 is the last.")] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Times as fast as it ran; 0 does not wait at all.")
    ] = 0.25,
    html: Annotated[
        Path | None, typer.Option(help="Write a page that plays the trace offline, instead.")
    ] = None,
) -> None:
    """Play a recording: each step's batch, the KV blocks, and what happened."""
    trace = Trace.load(file)
    if trace.truncated:
        notes().print("The recording was cut off; this is what there is.", style="yellow")
    if html is not None:
        with busy(f"Writing {html}"):
            trace.to_html(html)
        output().print(f"Open {html} in a browser.", markup=False)
    elif not trace.steps:
        output().print("The recording has no steps.")
    elif step is not None:
        _show(trace, step)
    else:
        _play(trace, speed)


def _show(trace: Trace, wanted: int) -> None:
    count = len(trace.steps)
    n = wanted + count if wanted < 0 else wanted
    if not 0 <= n < count:
        fail(f"there is no step {wanted}: the recording has steps 0 to {count - 1}")
    before, after = trace.state_at(n - 1), trace.state_at(n)
    output().print(frame(before, trace.steps[n], after, trace.header, count))


def _play(trace: Trace, speed: float) -> None:
    """In place in a terminal, one frame below the other elsewhere."""
    console, header, steps = output(), trace.header, trace.steps
    if header.title:
        console.print(f"{header.title}. {header.question}", markup=False)
    state = trace.state_at(-1)
    with Live(console=console, auto_refresh=False) as live:
        for step in steps:
            before = state.copy()
            apply(state, step)
            drawn = frame(before, step, state, header, len(steps))
            if console.is_terminal:
                live.update(drawn, refresh=True)
            else:
                console.print(drawn)
            if speed > 0 and console.is_terminal:
                time.sleep(max(_SHORTEST_PAUSE, step.duration / 1e9 / speed))
