"""One record, one line of JSON: encoding and decoding (docs/trace-format.md).

Event kinds this version does not know are kept as `Unknown` and written back as they were read.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from msgspec import Struct

from minillm.events import (
    Added,
    Admitted,
    Alloc,
    Cached,
    Copied,
    Done,
    Event,
    Evicted,
    Finished,
    Forked,
    Free,
    Preempted,
    Rejected,
    Step,
    SwappedIn,
    SwappedOut,
    Unknown,
    Wait,
)
from minillm.trace.records import FORMAT_VERSION, Closing, Header, Keyframe, Note

Record = Header | Step | Keyframe | Note | Closing

KnownEvent = (
    Added
    | Rejected
    | Admitted
    | Alloc
    | Forked
    | Copied
    | SwappedOut
    | SwappedIn
    | Free
    | Cached
    | Evicted
    | Preempted
    | Done
    | Finished
)
_KINDS = frozenset(kind.__struct_config__.tag for kind in get_args(KnownEvent))
RawEvents = tuple[tuple[Any, ...], ...]


class _Line(Struct, kw_only=True, gc=False):
    """A step as it stands in the file, but for its events."""

    n: int
    t: int
    d: int
    s: int = 0
    p: tuple[tuple[str, int], ...] = ()
    w: tuple[Wait, ...] | None = None
    k: dict[str, tuple[int, ...]] = {}
    x: dict[str, str] = {}
    z: tuple[str, ...] = ()


class _StepLine(_Line):
    e: tuple[KnownEvent, ...] = ()
    a: tuple[KnownEvent, ...] = ()


class _RawStepLine(_Line):
    e: RawEvents = ()
    a: RawEvents = ()


class _ClosingLine(Struct, kw_only=True):
    closing: str
    time: int
    events: RawEvents = ()


class _Key(Struct):
    """The keys that tell what a line is."""

    minillm_trace: int | None = None
    n: int | None = None
    keyframe: int | None = None
    note: int | None = None
    closing: str | None = None


_encoder = msgspec.json.Encoder()
_key = msgspec.json.Decoder(_Key)
_step = msgspec.json.Decoder(_StepLine)
_raw_step = msgspec.json.Decoder(_RawStepLine)
_keyframe = msgspec.json.Decoder(Keyframe)
_note = msgspec.json.Decoder(Note)
_closing = msgspec.json.Decoder(_ClosingLine)
_header = msgspec.json.Decoder(Header)


def encode(record: Record) -> bytes:
    """The record as JSON, without the newline."""
    if isinstance(record, Step):
        if any(type(event) is Unknown for event in (*record.events, *record.after)):
            return _encode_by_hand(record, e=record.events, a=record.after)
    elif isinstance(record, Closing) and any(type(e) is Unknown for e in record.events):
        return _encode_by_hand(record, events=record.events)
    return _encoder.encode(record)


def _encode_by_hand(record: Record, **events: tuple[Event, ...]) -> bytes:
    fields = msgspec.to_builtins(record)
    for key in fields.keys() & events.keys():
        fields[key] = [e.raw if isinstance(e, Unknown) else e for e in events[key]]
    return _encoder.encode(fields)


def decode(line: bytes) -> Record:
    """The record that a line holds; ValueError, with the reason, when it holds none."""
    try:
        if line.startswith(b'{"n":'):
            return _decode_step(line)
        key = _key.decode(line)
        if key.minillm_trace is not None:
            if key.minillm_trace > FORMAT_VERSION:
                raise ValueError(
                    f"the trace has format {key.minillm_trace}, newer than the {FORMAT_VERSION} "
                    "that this minillm reads; upgrade minillm"
                )
            return _header.decode(line)
        if key.n is not None:
            return _decode_step(line)
        if key.keyframe is not None:
            return _keyframe.decode(line)
        if key.note is not None:
            return _note.decode(line)
        if key.closing is not None:
            closing = _closing.decode(line)
            return Closing(
                closing=closing.closing, time=closing.time, events=_events(closing.events)
            )
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    raise ValueError("neither a header, a step, a keyframe, a note nor a closing record")


def decode_keyframe(line: bytes) -> Keyframe:
    """The keyframe that a line is known to hold."""
    return _keyframe.decode(line)


def _decode_step(line: bytes) -> Step:
    try:
        fields = _step.decode(line)
        events, after = fields.e, fields.a
    except msgspec.ValidationError:  # perhaps an event of a kind not known here
        fields = _raw_step.decode(line)
        events, after = _events(fields.e), _events(fields.a)
    return Step(
        index=fields.n,
        start=fields.t,
        duration=fields.d,
        transfer=fields.s,
        prefills=fields.p,
        waits=fields.w,
        events=events,
        after=after,
        tokens=fields.k,
        text=fields.x,
        wasted=fields.z,
    )


def _events(raw: RawEvents) -> tuple[Event, ...]:
    return tuple(_event(fields) for fields in raw)


def _event(fields: tuple[Any, ...]) -> Event:
    if not fields or not isinstance(fields[0], str):
        raise ValueError("an event must be a list led by its kind")
    if fields[0] in _KINDS:
        return msgspec.convert(list(fields), KnownEvent)
    return Unknown(fields)
