"""Reading and writing trace files: what is refused, and how nothing already saved is lost."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from minillm.events import Step
from minillm.trace.fold import TraceError
from minillm.trace.lines import decode
from minillm.trace.records import Closing, Header, Keyframe, Note

KEYFRAME_EVERY = 256  # steps
TELL_EVERY = 2048  # lines or steps between two words of progress


@dataclass(slots=True)
class FileContent:
    """The records of a file. `truncated`: its last line was unfinished and dropped.

    `step_lines[n]` is the line number of step n; `keyframes` go with theirs.
    """

    header: Header
    steps: list[Step] = field(default_factory=list)
    step_lines: list[int] = field(default_factory=list)
    keyframes: list[tuple[int, Keyframe]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    base: Keyframe | None = None
    closing: Closing | None = None
    closing_line: int = 0
    truncated: bool = False


def read(
    path: str | os.PathLike[str], progress: Callable[[float], object] | None = None
) -> FileContent:
    """Read the records of a trace file. Raises TraceError, with the line and the reason.

    `progress` hears now and then which share of the lines is read.
    """
    data = _read_bytes(path)
    *lines, unfinished = data.split(b"\n")
    if not lines:
        raise TraceError(f"{path} breaks off within its first line: it holds no run")
    content = FileContent(_read_header(path, lines[0]), truncated=bool(unfinished))
    for number, line in enumerate(lines[1:], start=2):
        try:
            _take(content, number, line)
        except ValueError as error:
            raise TraceError(f"{path} line {number}: {error}") from None
        if progress is not None and number % TELL_EVERY == 0:
            progress(number / len(lines))
    return content


def write(path: str | os.PathLike[str], lines: Iterable[bytes]) -> None:
    """Write `lines`, as `write_whole` does, each with its newline."""
    write_whole(path, (line + b"\n" for line in lines))


def write_whole(path: str | os.PathLike[str], pieces: Iterable[bytes]) -> None:
    """Write `pieces` to `path`, whole or not at all: an existing file is replaced at the very end,
    or stays as it was. Raises TraceError when the file cannot be written."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise TraceError(f"cannot save to {path}: it is not a regular file")
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(partial, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        raise TraceError(f"cannot save to {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    if os.path.isdir(path):
        raise TraceError(f"{path} is a folder, not a trace file")
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise TraceError(f"there is no file {path}") from None
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise TraceError(f"{path} is empty: it holds no run")
    if data.startswith(b"\x1f\x8b"):
        raise TraceError(f"{path} is compressed; unpack it first (gunzip)")
    if b"\0" in data[:4096]:
        raise TraceError(f"{path} is a binary file, not a trace")
    return data


def _read_header(path: str | os.PathLike[str], line: bytes) -> Header:
    try:
        header = decode(line)
    except ValueError as error:
        if b"minillm_trace" in line:
            raise TraceError(f"{path} line 1: {error}") from None
        header = None
    if not isinstance(header, Header):
        raise TraceError(
            f"{path} is not a minillm trace: its first line is no header with 'minillm_trace'"
        )
    for name in ("minillm_trace", "block_size", "num_blocks", "max_num_seqs", "max_model_len"):
        if getattr(header, name) < 1:
            raise TraceError(f"{path} line 1: {name} is {getattr(header, name)}, must be ≥ 1")
    return header


def _take(content: FileContent, number: int, line: bytes) -> None:
    """Add one more line to the content; ValueError says why it cannot stand there."""
    record = decode(line)
    if content.closing is not None:
        raise ValueError("follows the closing record, which must be last")
    if isinstance(record, Step):
        if record.index != len(content.steps):
            raise ValueError(f"step {record.index} where step {len(content.steps)} should be")
        content.steps.append(record)
        content.step_lines.append(number)
    elif isinstance(record, Keyframe):
        if record.keyframe != len(content.steps) - 1:
            raise ValueError(
                f"keyframe of step {record.keyframe} behind step {len(content.steps) - 1}"
            )
        if content.steps:
            content.keyframes.append((number, record))
        elif content.base is None:
            content.base = record
        else:
            raise ValueError("a second keyframe before step 0")
    elif isinstance(record, Note):
        if record.note != len(content.steps) - 1 or not content.steps:
            raise ValueError(f"note on step {record.note} behind step {len(content.steps) - 1}")
        content.notes.append(record)
    elif isinstance(record, Closing):
        content.closing, content.closing_line = record, number
    else:
        raise ValueError("a second header")
