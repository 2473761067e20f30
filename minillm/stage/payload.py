"""What a page or a notebook holds of a trace: as little as the stage needs, packed where it is
large. Keyframes are left out (the stage makes its own), and a long run is gzip in base64, which
the browser unpacks itself: js/packed.js. That is about a tenth of the trace file."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PACK_FROM = 1_000_000  # characters of records
FEWEST, MOST = 2, 4  # traces of a comparison
AXES = ("time", "step")


def payload(header_json: str, record_lines: Iterable[str], options_json: str = "{}") -> str:
    """JSON of one trace, `{"header", "options", "records"}` or, packed, `{…, "packed"}`.

    `header_json` and each of `record_lines` are lines of a trace file, `options_json` is an
    object.
    """
    records = f"[{','.join(needed(record_lines))}]"
    if len(records) >= PACK_FROM:
        what = f'"packed":"{packed(records.encode())}"'
    else:
        what = f'"records":{records}'
    return f'{{"header":{header_json.strip()},"options":{options_json},{what}}}'


def packed(records_json: bytes) -> str:
    """A JSON list of records as js/packed.js unpacks it."""
    return base64.b64encode(gzip.compress(records_json, compresslevel=5, mtime=0)).decode()


def needed(record_lines: Iterable[str]) -> Iterable[str]:
    """The lines without keyframes, but for one in front of the first step, which is where a
    trimmed recording begins."""
    begun = False
    for line in map(str.strip, record_lines):
        if line and not (begun and line.startswith('{"keyframe"')):
            begun = begun or line.startswith('{"n"')
            yield line


def comparison(
    count: int,
    names: Sequence[str] | None,
    axis: str,
    differences: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What a comparison of `count` traces is told beside its traces, checked."""
    if not FEWEST <= count <= MOST:
        raise ValueError(f"{count} traces cannot be compared: give {FEWEST} to {MOST} of them")
    if names is not None and len(names) != count:
        raise ValueError(f"{count} traces need as many names, not {len(names)}")
    if axis not in AXES:
        raise ValueError(f"unknown axis {axis!r}: use one of {', '.join(AXES)}")
    told = [{"time": int(each["time"]), "text": str(each["text"])} for each in differences]
    return {"names": list(names or []), "axis": axis, "differences": told}


def together(traces: Iterable[tuple[str, Iterable[str]]]) -> str:
    """JSON list of several traces, each given as its header's line and its records' lines."""
    return f"[{','.join(payload(header, records) for header, records in traces)}]"
