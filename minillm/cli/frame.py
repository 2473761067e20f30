"""One step of a trace, drawn in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from minillm.cli.shell import printable
from minillm.events import Step, Wait
from minillm.trace import State
from minillm.trace.narrate import sentence
from minillm.trace.records import Header

_WIDTH = 40
_MOST_WAITS = 6

Segment = tuple[int, str, str, str]  # amount, glyph, style, what it is


def frame(before: State, step: Step, after: State, header: Header, steps: int) -> RenderableType:
    """The batch under its token budget, the KV pool, what happened, and who waits for what."""
    place = f"step {step.index:,} of {steps:,} · {step.start / 1e9:.3f} s · lasts "
    title = Text(f"{place}{step.duration / 1e6:.1f} ms · {header.scheduler}", style="dim")
    waits = after.waits_by_sequence()
    lines = [Text(_waiting(id, wait), style="yellow") for id, wait in waits.items()]
    if len(lines) > _MOST_WAITS:
        more = len(lines) - _MOST_WAITS
        lines = [*lines[:_MOST_WAITS], Text(f"  and {more} more wait", style="yellow")]
    said = Text(printable(sentence(before, step, after, header)))
    return Group(title, _batch(after, header), _blocks(after, header), said, *lines, Text())


def _batch(state: State, header: Header) -> Text:
    amounts = {"decode": 0, "prefill": 0, "dead": 0}
    for _, num_tokens, kind in state.batch:
        amounts[kind] += num_tokens
    decode, prefill = amounts["decode"], amounts["prefill"]
    idle = max(0, header.max_num_batched_tokens - decode - prefill)
    return _bar(
        "tokens",
        header.max_num_batched_tokens,
        [
            (decode, "█", "blue", "decode"),
            (prefill, "▓", "green", "prefill"),
            (idle, "·", "dim", "idle"),
        ],
    )


def _blocks(state: State, header: Header) -> Text:
    held = state.num_used_blocks
    cached = len(state.cached - state.owners.keys())
    free = header.num_blocks - held - cached
    return _bar(
        "blocks",
        header.num_blocks,
        [
            (held, "█", "magenta", "held"),
            (cached, "▒", "cyan", "cached"),
            (free, "·", "dim", "free"),
        ],
    )


def _bar(name: str, total: int, segments: list[Segment]) -> Text:
    """`segments` fill `total`; what is there at all gets at least one cell."""
    text = Text(f"{name}  ")
    cells = [
        0 if amount == 0 else max(1, round(amount * _WIDTH / total)) for amount, *_ in segments
    ]
    cells[-1] = max(0, _WIDTH - sum(cells[:-1]))
    for width, (_, glyph, style, _) in zip(cells, segments, strict=True):
        text.append(glyph * width, style)
    counts = ", ".join(f"{amount:,} {what}" for amount, _, _, what in segments if amount)
    return text.append(f"  {counts} of {total:,}")


def _waiting(id: str, wait: Wait) -> str:
    text = f"  {printable(id)} waits: {wait.reason.value.replace('_', ' ')}"
    if wait.needs is not None:
        text += f", needs {wait.needs:,}"
        if wait.free is not None:
            text += f", {wait.free:,} free"
    if wait.holders:
        shown = ", ".join(map(printable, wait.holders[:3]))
        text += f" (held by {shown}{' …' if len(wait.holders) > 3 else ''})"
    return text
