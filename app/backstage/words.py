"""The Live page's sentences, in Markdown."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from minillm.kv_cache.memories import memory_name
from minillm.messages import say, translated

if TYPE_CHECKING:
    from backstage.choice import Choice
    from minillm.trace.records import Header
    from minillm.trace.trace import Trace

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~:$^-])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def inert(text: str) -> str:
    """`text` for a place that reads Markdown: shown as it is, on one line, in its own direction."""
    return _MARKDOWN.sub(r"\\\1", _CONTROL.sub(" ", text))


def question(language: str, header: Header, choice: Choice) -> str:
    """What the page asks about what is on the stage, in Markdown."""
    asked = inert(translated(language, header.question, f"scenes.{header.scene}.question"))
    memory = memory_name(header.kv_cache, header.reserve)
    if choice.requests is not None:
        mine = header.scene == "" and header.title == (choice.title or "")
        key = "editor.question" if mine else "editor.question_recorded"
        return say(language, key, n=len(choice.requests))
    shown, chosen = (header.scheduler, memory), (choice.scheduler, choice.memory)
    if header.scene == choice.scene:
        if shown == chosen:
            return asked
        differ = [pair for pair in zip(shown, chosen, strict=True) if pair[0] != pair[1]]
        joint = say(language, "live.with")
        on_stage = joint.join(f"**{inert(one)}**" for one, _ in differ)
        to_see = joint.join(f"**{other}**" for _, other in differ)
        return say(language, "live.on_stage", shown=on_stage, chosen=to_see)
    model = inert(header.model) or say(language, "live.a_model")
    return asked or say(language, "live.recording_of", model=model)


def summary(language: str, trace: Trace) -> str:
    """The figures of a run in one line of Markdown, to compare it with the next; latencies of the
    requests completed so far."""
    figures = trace.metrics()
    done = sum(request.completed for request in trace.requests)
    parts = [
        say(
            language,
            "live.summary_done",
            scheduler=inert(trace.header.scheduler),
            done=done,
            all=len(trace.requests),
        )
    ]
    for name in ("ttft", "itl"):
        median, p99 = (milliseconds(figures[f"{kind}_{name}_ms"]) for kind in ("median", "p99"))
        parts.append(say(language, f"live.summary_{name}", median=median, p99=p99))
    if trace.num_preemptions:
        parts.append(say(language, "live.summary_preempted", n=trace.num_preemptions))
    return " · ".join(parts)


def milliseconds(value: float) -> str:
    """A latency, to read: "–" for none."""
    if math.isnan(value):
        return "–"
    return f"{value / 1e3:.2f} s" if value >= 1000 else f"{value:.0f} ms"
