"""From the lines of a trace file to a run: each is decoded, put in its place and folded at once, so
that what loads can be played, and what is refused is refused with its line and the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from minillm.events import Step
from minillm.trace.digest import Digest
from minillm.trace.file import Lines
from minillm.trace.lines import decode
from minillm.trace.records import Closing, Header, Keyframe, Note
from minillm.trace.state import TraceError


@dataclass(slots=True)
class Content:
    """What a file holds. `base`: the state before step 0, where it begins with one; `digest` has
    taken all of it; `truncated`: its last line was unfinished and dropped."""

    header: Header
    digest: Digest
    steps: list[Step] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    base: Keyframe | None = None
    closing: Closing | None = None
    truncated: bool = False


def read(file: BinaryIO, name: str, progress: Callable[[float], object]) -> Content:
    """Read and check an open trace file, called `name`. Raises TraceError.

    `progress` hears now and then which share of it that is, from 0 to 1.
    """
    lines = Lines(file, name, progress)
    numbered = iter(lines)
    _, first = next(numbered)
    header = _header(first, name)
    content = Content(header, Digest(header))
    for number, line in numbered:
        try:
            _take(content, line)
        except ValueError as error:
            raise TraceError(f"{name} line {number}: {error}") from None
    content.digest.settle()
    content.truncated = lines.truncated
    return content


def _header(line: bytes, name: str) -> Header:
    try:
        header = decode(line)
    except ValueError as error:
        if b"minillm_trace" in line:
            raise TraceError(f"{name} line 1: {error}") from None
        header = None
    if not isinstance(header, Header):
        raise TraceError(
            f"{name} is not a minillm trace: its first line is no header with 'minillm_trace'"
        )
    for field_ in ("minillm_trace", "block_size", "num_blocks", "max_num_seqs", "max_model_len"):
        if getattr(header, field_) < 1:
            raise TraceError(f"{name} line 1: {field_} is {getattr(header, field_)}, must be ≥ 1")
    return header


def _take(content: Content, line: bytes) -> None:
    """Add one more line to the content; ValueError says why it cannot stand there."""
    if content.closing is not None:
        decode(line)
        raise ValueError("follows the closing record, which must be last")
    digest, steps = content.digest, content.steps
    if line == digest.keyframe:  # decoding it takes ten times as long
        return
    record, last = decode(line), len(steps) - 1
    match record:
        case Step():
            if record.index != len(steps):
                raise ValueError(f"step {record.index} where step {len(steps)} should be")
            digest.feed(record)
            steps.append(record)
        case Keyframe():
            if record.keyframe != last:
                raise ValueError(f"keyframe of step {record.keyframe} behind step {last}")
            if not steps:
                _begin(content, record)
            else:
                _compare(digest, record)
        case Note():
            if record.note != last or not steps:
                raise ValueError(f"note on step {record.note} behind step {last}")
            content.notes.append(record)
        case Closing():
            digest.close(record)
            content.closing = record
        case Header():
            raise ValueError("a second header")


def _begin(content: Content, base: Keyframe) -> None:
    if content.base is not None:
        raise ValueError("a second keyframe before step 0")
    content.base, content.digest = base, Digest(content.header, base)


def _compare(digest: Digest, keyframe: Keyframe) -> None:
    digest.settle()
    if digest.state.keyframe() != keyframe:
        raise ValueError(
            f"keyframe of step {keyframe.keyframe} differs from what the steps before it add up to"
        )
