"""Reading and writing trace files: what is refused, and how nothing already saved is lost."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from minillm.trace.state import TraceError

KEYFRAME_EVERY = 256  # steps
TELL_EVERY = 8192  # lines between two words of progress


class Lines:
    """The lines of an open trace file, with their numbers from 1 and without their newlines. An
    unfinished last line, which a crash cut off, is left out; `truncated` says so behind the end.

    `name` is the file's in what is said of it. `progress` hears now and then which share is read.
    Raises TraceError for what cannot be a trace.
    """

    def __init__(self, file: BinaryIO, name: str, progress: Callable[[float], object]) -> None:
        self.truncated = False
        self._file = file
        self._name = name
        self._progress = progress
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._check(file.read(4096))
        file.seek(0)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        read = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                self.truncated = True
                if number == 1:
                    raise TraceError(
                        f"{self._name} breaks off within its first line: it holds no run"
                    )
                return
            read += len(line)
            yield number, line[:-1]
            if number % TELL_EVERY == 0:
                self._progress(read / self._size)

    def _check(self, start: bytes) -> None:
        if not start:
            raise TraceError(f"{self._name} is empty: it holds no run")
        if start.startswith(b"\x1f\x8b"):
            raise TraceError(f"{self._name} is compressed; unpack it first (gunzip)")
        if b"\0" in start:
            raise TraceError(f"{self._name} is a binary file, not a trace")


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """The file at `path`, to read. Raises TraceError when it cannot be read."""
    if os.path.isdir(path):
        raise TraceError(f"{path} is a folder, not a trace file")
    try:
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise TraceError(f"there is no file {path}") from None
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror or error}") from error


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
