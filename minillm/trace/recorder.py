"""The recorder: listens to an engine, keeps its steps, and streams them to a file."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings

from minillm.events import Event, Step
from minillm.trace.file import KEYFRAME_EVERY
from minillm.trace.fold import State, TraceError, apply
from minillm.trace.lines import encode
from minillm.trace.records import Closing, Header
from minillm.trace.trace import Trace

_OURS = b'{"minillm_trace":'


class Recorder:
    """Records one run: `engine.hooks.on("step", recorder.on_step)` before its first step.

    With `path`, each step is one write to the file, so that a crash costs at most the unfinished
    last line. An earlier trace there is overwritten; a file of any other kind is refused. When a
    write fails, the file is given up with one warning and `problem` says why; the engine and the
    record in memory go on. `keep=False` keeps nothing in memory, for runs without end.

    `on_step` and `close` belong to the engine's thread; everything else may be called by any.
    """

    def __init__(
        self, header: Header, path: str | os.PathLike[str] | None = None, *, keep: bool = True
    ) -> None:
        if path is None and not keep:
            raise ValueError("keep=False records nothing without a path")
        self.header = header
        self.path = path
        self.problem: str | None = None
        self._keep = keep
        self._trace = Trace(header)
        self._lines: list[bytes] = []  # encoded steps; behind `steps` until somebody asks
        self._lock = threading.Lock()
        self._state = State(header.num_blocks)  # for the keyframes of the file
        self._next = 0
        self._time = 0
        self._closed = False
        self._file: int | None = None
        self._good_length = 0
        if path is not None:
            self._file = _open(path)
            self._write(encode(header))

    @property
    def trace(self) -> Trace:
        """The run so far: one object that grows. With keep=False it is read from the file."""
        if self._keep:
            return self._trace
        assert self.path is not None
        return Trace.load(self.path)

    def on_step(self, step: Step) -> None:
        """Record the engine's next step."""
        if step.index != self._next:
            raise TraceError(
                f"the recorder expected step {self._next} and got {step.index}: attach it before "
                "the first step, and use one recorder per run"
            )
        self._next += 1
        self._time = step.start + step.duration
        if self._keep:
            self._trace.steps.append(step)
        if self._file is not None:
            self._stream(step)

    def steps_since(self, n: int) -> list[Step]:
        """Steps n, n + 1, … so far."""
        return self._trace.steps[max(n, 0) :]

    def encoded_since(self, n: int) -> list[bytes]:
        """The same as JSON lines, without newlines; each step is encoded once, whoever asks."""
        steps = self._trace.steps
        with self._lock:
            for index in range(len(self._lines), len(steps)):
                self._lines.append(encode(steps[index]))
            return self._lines[max(n, 0) :]

    def close(
        self, events: tuple[Event, ...] = (), how: str = "complete", time: int | None = None
    ) -> None:
        """End the record. `events` happened after the last step, at `time` (default: its end);
        `how` is "complete" or "stopped". A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        when = self._time if time is None else max(time, self._time)
        closing = Closing(closing=how, time=when, events=tuple(events))
        if self._keep:
            self._trace.closing = closing
        if self._file is not None:
            self._write(encode(closing))
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _stream(self, step: Step) -> None:
        """Write one step, and the keyframe when it is due."""
        try:
            apply(self._state, step)
            line = encode(step)
        except (TraceError, UnicodeEncodeError) as error:  # with it in, no one could read the file
            self._give_up(str(error))
            return
        self._write(line)
        if self._next % KEYFRAME_EVERY == 0:
            self._write(encode(self._state.keyframe()))
        if self._keep:
            with self._lock:
                if len(self._lines) == step.index:
                    self._lines.append(line)

    def _write(self, line: bytes) -> None:
        """Append one line to the file, in one piece where the system takes it so."""
        if self._file is None:
            return
        data = line + b"\n"
        try:
            while data:
                data = data[os.write(self._file, data) :]
            self._good_length += len(line) + 1
        except OSError as error:
            self._give_up(error.strerror or str(error))

    def _give_up(self, reason: str) -> None:
        """Cut the file back to its last whole line and leave it; say so once."""
        file, self._file = self._file, None
        assert file is not None
        with contextlib.suppress(OSError):
            os.ftruncate(file, self._good_length)
        with contextlib.suppress(OSError):
            os.close(file)
        self.problem = (
            f"recording to {self.path} stopped: {reason}. "
            f"The file ends before step {max(0, self._next - 1)}; the engine goes on."
        )
        warnings.warn(self.problem, RuntimeWarning, stacklevel=4)


def _open(path: str | os.PathLike[str]) -> int:
    """Open `path` for a new recording. Raises TraceError where that cannot or must not be."""
    try:
        with contextlib.suppress(FileNotFoundError):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    start = file.read(len(_OURS))
                if start and start != _OURS:
                    raise TraceError(f"{path} exists and is not a trace; it is not overwritten")
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError as error:
        raise TraceError(f"cannot record to {path}: {error.strerror or error}") from error
