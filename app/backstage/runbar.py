"""The line below a live run: where it runs, how fast, and what watching it costs."""

from __future__ import annotations

from itertools import islice

from backstage.shown import Shown
from minillm.messages import say

HEIGHT = 26  # CSS px
RECENT = 40  # steps that the rate is taken over


def line(shown: Shown, language: str) -> str:
    """The line's text; to be asked for at each look at the run, in the thread that serves it."""
    header, run = shown.trace.header, shown.run
    parts = [
        say(language, "runbar.device", device=header.device),
        say(language, "runbar.model", model=header.model, dtype=header.dtype),
        say(language, "runbar.rate", rate=f"{rate(shown):,.0f}"),
    ]
    shares = None if run is None else shown.usage.shares(run.cpu_seconds)
    if shares is not None:
        engine, view = (f"{share * 100:.1f} %" for share in shares)
        parts.append(say(language, "runbar.cost", engine=engine, view=view))
    return " · ".join(parts)


def rate(shown: Shown) -> float:
    """Tokens per second of engine time over the last steps; 0 before the first."""
    steps = shown.trace.steps
    last = list(islice(reversed(steps), RECENT))
    spent = sum(step.duration for step in last)
    tokens = sum(len(new) for step in last for new in step.tokens.values())
    return tokens / spent * 1e9 if spent else 0.0
