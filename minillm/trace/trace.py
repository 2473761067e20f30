"""Trace: a run as one reads it. A header, its steps, and everything that follows from them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from minillm.events import Step
from minillm.messages import DEFAULT
from minillm.trace import file, loading
from minillm.trace.cut import begin
from minillm.trace.digest import Digest, Gaps, RequestRecord, Series
from minillm.trace.file import KEYFRAME_EVERY
from minillm.trace.fold import State, TraceError, apply
from minillm.trace.lines import decode_keyframe, encode
from minillm.trace.records import FORMAT_VERSION, Closing, Header, Keyframe, Note

if TYPE_CHECKING:
    from minillm.trace.blame import Blame
    from minillm.trace.lives import Lives
    from minillm.trace.memory import Memory
    from minillm.trace.sharing import Sharing


class Trace:
    """The record of one run.

    `steps` may still grow while a recorder appends to it: whatever is asked is answered for the
    steps there are at that moment, and each step is folded once. Any thread may ask.
    `truncated`: the file it came from was cut off by a crash, within its last line. `notes` are
    what somebody pinned to its steps, in the order of the steps. `base`: the state before step 0,
    of a stretch that was cut out of a run (see `minillm.trace.cut`); None: nothing.
    """

    def __init__(
        self,
        header: Header,
        steps: list[Step] | None = None,
        closing: Closing | None = None,
        *,
        truncated: bool = False,
        notes: Iterable[Note] = (),
        base: Keyframe | None = None,
    ) -> None:
        self.notes = tuple(sorted(notes, key=lambda note: note.note))
        self.base = base
        if self.notes or base is not None:
            header = msgspec.structs.replace(header, minillm_trace=FORMAT_VERSION)
        self.header = header
        self.steps: list[Step] = [] if steps is None else steps
        self.closing = closing
        self.truncated = truncated
        self._lock = threading.RLock()
        self._digest = Digest(header, base)
        self._digested = 0
        self._closed = False

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], progress: Callable[[float], object] | None = None
    ) -> Trace:
        """Read and check a trace file: what loads can be played. Raises TraceError.

        `progress` hears now and then how far that is, from 0 to 1.
        """
        with file.opened(path) as opened:
            return cls.read(opened, str(path), progress)

    @classmethod
    def read(
        cls, opened: BinaryIO, name: str, progress: Callable[[float], object] | None = None
    ) -> Trace:
        """The same of a file that is open; `name` is what it is called where it is refused."""
        content = loading.read(opened, name, progress or _unheard)
        trace = cls(
            content.header,
            content.steps,
            content.closing,
            truncated=content.truncated,
            notes=content.notes,
            base=content.base,
        )
        trace._digest, trace._digested = content.digest, len(content.steps)
        trace._closed = content.closing is not None
        return trace

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trace file. An existing file is replaced whole or, on TraceError, kept."""
        file.write(path, self.encoded())

    def lines(self) -> Iterator[str]:
        """The lines of the file, without their newlines."""
        for line in self.encoded():
            yield line.decode()

    def encoded(self, keyframes: bool = True) -> Iterator[bytes]:
        """The same as bytes: header, base, steps with notes and, if wanted, keyframes between,
        closing."""
        yield encode(self.header)
        if self.base is not None:
            yield encode(self.base)
        digest, notes = self._read(), list(reversed(self.notes))
        for index in range(len(digest.series.end)):
            yield encode(self.steps[index])
            if keyframes and (index + 1) % KEYFRAME_EVERY == 0:
                yield digest.keyframes[index // KEYFRAME_EVERY]
            while notes and notes[-1].note == index:
                yield encode(notes.pop())
        if self.closing is not None:
            yield encode(self.closing)

    def with_notes(self, notes: Iterable[Note]) -> Trace:
        """The same run, as far as it is recorded, with `notes` in place of those it has. Raises
        TraceError for a note on a step that is not there."""
        notes = tuple(notes)
        for note in notes:
            self.check_step(note.note)
        header = msgspec.structs.replace(self.header, minillm_trace=1)
        return Trace(
            header,
            list(self.steps),
            self.closing,
            truncated=self.truncated,
            notes=notes,
            base=self.base,
        )

    def with_note(self, step: int, text: str, by: str = "") -> Trace:
        """The same with one more note, on `step`. Raises TraceError where that cannot be."""
        try:
            note = Note(note=step, text=text, by=by)
        except ValueError as error:
            raise TraceError(str(error)) from None
        return self.with_notes((*self.notes, note))

    def check_step(self, n: int) -> None:
        """Raises TraceError where there is no step n."""
        if not 0 <= n < len(self.steps):
            held = f"steps 0 to {len(self.steps) - 1}" if self.steps else "no steps"
            raise TraceError(f"there is no step {n}: the trace has {held}")

    def trim(self, first: int, last: int) -> Trace:
        """Steps `first` to `last`, inclusive, as a trace of their own, with the notes on them; see
        `minillm.trace.cut`. Raises TraceError where there are no such steps."""
        from minillm.trace.cut import trim

        return trim(self, first, last)

    @property
    def requests(self) -> list[RequestRecord]:
        """Every request so far, in order of arrival at the engine; rejected ones too."""
        return list(self._read().requests)

    @property
    def series(self) -> Series:
        """Running, waiting and used blocks, one entry per step."""
        return self._read().series

    @property
    def gaps(self) -> Gaps:
        """Every inter-token latency, in order of time."""
        with self._lock:
            return self._read().gaps()

    @property
    def point(self) -> int | None:
        """The step in which most is lost to waiting (requests that stand still × its length): where
        a recording's first frame makes its point. None when nobody ever waits."""
        return self._read().point

    @property
    def num_preemptions(self) -> int:
        return self._read().num_preemptions

    @property
    def prefix_cache_hit_rate(self) -> float:
        """Of the tokens looked up in the prefix cache at admissions, the share found there."""
        digest = self._read()
        return digest.prefix_hits / digest.prefix_queries if digest.prefix_queries else 0.0

    @property
    def duration(self) -> float:
        """Engine seconds from time 0 to the end of the last step."""
        if not self.steps:
            return 0.0
        last = self.steps[-1]
        return (last.start + last.duration) / 1e9

    def state_at(self, n: int) -> State:
        """The state after step n, yours to keep; −1 is before the first step."""
        digest = self._read()
        if not -1 <= n < len(self.steps):
            raise IndexError(f"there is no step {n}: the trace has {len(self.steps)} steps")
        # From a keyframe in front of step n, so that n itself is folded and its batch known.
        nearest = n // KEYFRAME_EVERY
        if nearest > 0:
            keyframe = decode_keyframe(digest.keyframes[nearest - 1])
            state = State.from_keyframe(keyframe, self.header.num_blocks)
        else:
            state = begin(self.header, self.base)
        for index in range(state.index + 1, n + 1):
            apply(state, self.steps[index])
        return state

    def metrics(self, goodput: Mapping[str, float] | None = None) -> dict[str, float]:
        """Figures by the names of `vllm bench serve`; see `minillm.trace.metrics.metrics`."""
        from minillm.trace.metrics import metrics

        return metrics(self, goodput)

    def blame(self) -> Blame:
        """Whose work each nanosecond of each request paid for; see `minillm.trace.blame`."""
        from minillm.trace.blame import blame

        return blame(self)

    def lives(self) -> Lives:
        """What each request did from arrival to end, and who it waited for; see
        `minillm.trace.lives`."""
        from minillm.trace.books import lives

        return lives(self)

    def memory(self) -> Memory:
        """What the KV slots of each step were good for; see `minillm.trace.memory`."""
        from minillm.trace.memory import memory

        return memory(self)

    def sharing(self, n: int) -> Sharing:
        """Which requests share which blocks after step n; see `minillm.trace.sharing`."""
        from minillm.trace.sharing import sharing

        return sharing(self, n)

    def requests_table(self) -> list[dict[str, Any]]:
        """A row of figures per request; see `minillm.trace.tables`."""
        from minillm.trace.tables import requests_table

        return requests_table(self)

    def steps_table(self) -> list[dict[str, Any]]:
        """A row of figures per step; see `minillm.trace.tables`."""
        from minillm.trace.tables import steps_table

        return steps_table(self)

    def to_html(self, path: str | os.PathLike[str], *, language: str = DEFAULT) -> None:
        """Write one self-contained page that plays this trace, offline, in one of
        `minillm.messages.LANGUAGES`."""
        from minillm.stage.html import to_html

        header, *lines = self.lines()
        file.write(path, [to_html(header, lines, language=language).encode()])

    def to_perfetto(self, path: str | os.PathLike[str]) -> None:
        """Write a Chrome trace, for ui.perfetto.dev."""
        from minillm.trace.perfetto import to_perfetto

        file.write(path, [to_perfetto(self)])

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        header, requests = self.header, self.requests
        what = " · ".join(filter(None, (header.scene, header.model, header.scheduler)))
        end = "cut off" if self.truncated else self.closing.closing if self.closing else "open"
        return (
            f"<Trace {what or 'of a run'}: {len(self.steps):,} steps, {len(requests):,} requests, "
            f"{self.duration:.3f} s, {end}>"
        )

    def _read(self) -> Digest:
        """The digest, caught up with the steps."""
        with self._lock:
            digest, closing = self._digest, self.closing
            for index in range(self._digested, len(self.steps)):
                digest.feed(self.steps[index])
                self._digested = index + 1
            if closing is not None and not self._closed:
                digest.close(closing)
                self._closed = True
            digest.settle()
            return digest


def _unheard(share: float) -> None:
    """Progress that nobody asked for."""
