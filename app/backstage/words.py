"""The page's sentences."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from minillm.kv_cache.memories import memory_name

if TYPE_CHECKING:
    from backstage.choice import Choice
    from minillm.trace.records import Header
    from minillm.trace.trace import Trace

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~:$^-])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def inert(text: str) -> str:
    """`text` for a place that reads Markdown: shown as it is, on one line, in its own direction."""
    return _MARKDOWN.sub(r"\\\1", _CONTROL.sub(" ", text))


def question(header: Header, choice: Choice) -> str:
    """What the page asks about what is on the stage, in Markdown."""
    asked = inert(header.question) if header.question else ""
    memory = memory_name(header.kv_cache, header.reserve)
    shown, chosen = (header.scheduler, memory), (choice.scheduler, choice.memory)
    if header.scene == choice.scene:
        if shown == chosen:
            return asked
        differ = [pair for pair in zip(shown, chosen, strict=True) if pair[0] != pair[1]]
        on_stage = " with ".join(f"**{inert(one)}**" for one, _ in differ)
        to_see = " with ".join(f"**{other}**" for _, other in differ)
        return f"On the stage: {on_stage}. Run live to see {to_see}."
    return asked or f"A recording of {inert(header.model or 'a model')}."


def summary(trace: Trace) -> str:
    """The figures of a run in one line of Markdown, to compare it with the next; latencies of the
    requests completed so far."""
    figures = trace.metrics()
    done = sum(request.completed for request in trace.requests)
    parts = [
        f"**{inert(trace.header.scheduler)}**: {done} of {len(trace.requests)} requests completed",
        f"first token after {_ms(figures['median_ttft_ms'])} (median), "
        f"{_ms(figures['p99_ttft_ms'])} (p99)",
        f"between tokens {_ms(figures['median_itl_ms'])} (median), "
        f"{_ms(figures['p99_itl_ms'])} (p99)",
    ]
    if trace.num_preemptions:
        parts.append(f"{trace.num_preemptions} preempted")
    return " · ".join(parts)


def _ms(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value / 1e3:.2f} s" if value >= 1000 else f"{value:.0f} ms"
