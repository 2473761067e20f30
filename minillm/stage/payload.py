"""What a page or a notebook holds of a trace: as little as the stage needs, packed where it is
large. Keyframes are left out (the stage makes its own), and a long run is gzip in base64, which
the browser unpacks itself: js/packed.js. That is about a tenth of the trace file."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable

PACK_FROM = 1_000_000  # characters of records


def payload(header_json: str, record_lines: Iterable[str], options_json: str = "{}") -> str:
    """JSON of one trace, `{"header", "options", "records"}` or, packed, `{…, "packed"}`.

    `header_json` and each of `record_lines` are lines of a trace file, `options_json` is an
    object.
    """
    records = f"[{','.join(needed(record_lines))}]"
    if len(records) >= PACK_FROM:
        packed = gzip.compress(records.encode(), mtime=0)
        what = f'"packed":"{base64.b64encode(packed).decode()}"'
    else:
        what = f'"records":{records}'
    return f'{{"header":{header_json.strip()},"options":{options_json},{what}}}'


def needed(record_lines: Iterable[str]) -> Iterable[str]:
    """The lines without keyframes, but for one in front of the first step, which is where a
    trimmed recording begins."""
    begun = False
    for line in map(str.strip, record_lines):
        if line and not (begun and line.startswith('{"keyframe"')):
            begun = begun or line.startswith('{"n"')
            yield line
