"""Requests that somebody drew: checked, saved as a scene file, packed into a link.

A scene file is JSON:

    {"format": "minillm-scene", "version": 1, "title": "Two long, ten short",
     "settings": {"scene": "memory", "scheduler": "vllm"},
     "requests": [{"arrival": 0.06, "prompt_len": 1650, "output_len": 40,
                   "client": "a", "priority": 0}, …]}

`arrival` is in seconds, kept to the millisecond; lengths are in tokens; `client` and `priority`
may be left out, and so may `title` and `settings`, which are parameters of the app's link.

In a link it is "1" (the version) and base64url of the zlib stream of the JSON rows
`[arrival in ms, prompt_len, output_len, client, priority]`; zlib's checksum notices damage.

What comes from outside is checked against the limits below before anything is made of it. The
reason is a key of the catalogues, so that it can be told in any language.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minillm.messages import DEFAULT, say
from minillm.workload.spec import RequestSpec

FORMAT, VERSION = "minillm-scene", 1
MOST_REQUESTS = 200
LATEST = 3600.0  # s
MOST_TOKENS = 131_072  # of a prompt, and of an answer
MOST_PRIORITY = 1000  # either side of 0
MOST_NAME = 24  # characters of a client's name
MOST_TITLE = 60  # characters
MOST_BYTES = 100_000  # of a scene file
MOST_LINK = 6000  # characters
_FIELDS = ("arrival", "prompt_len", "output_len", "client", "priority")


class SavedError(ValueError):
    """Requests that cannot be used. `key` is the reason's in the catalogues, `values` its values;
    `where` is the number of the request, from 1, if one is at fault."""

    def __init__(self, key: str, where: int | None = None, **values: Any) -> None:
        self.key, self.where, self.values = key, where, values
        super().__init__(self.told(DEFAULT))

    def told(self, language: str) -> str:
        """The reason in words."""
        why = say(language, f"saved.{self.key}", **self.values)
        return why if self.where is None else say(language, "saved.request", n=self.where, why=why)


@dataclass(frozen=True)
class SavedScene:
    """A scene file. `settings` are parameters of the app's link, as text."""

    requests: tuple[RequestSpec, ...]
    title: str = ""
    settings: dict[str, str] = field(default_factory=dict)


def checked(rows: Iterable[Mapping[str, Any]]) -> tuple[RequestSpec, ...]:
    """Requests in order of arrival, from rows with the fields of a scene file's. SavedError."""
    requests = []
    for number, row in enumerate(rows, start=1):
        if number > MOST_REQUESTS:
            raise SavedError("too_many", most=MOST_REQUESTS)
        if not isinstance(row, Mapping):
            raise SavedError("no_object", number)
        try:
            requests.append(_request(row))
        except SavedError as error:
            raise SavedError(error.key, number, **error.values) from None
    if not requests:
        raise SavedError("none")
    return tuple(sorted(requests, key=lambda spec: spec.arrival_time))


def rows_of(requests: Sequence[RequestSpec]) -> list[dict[str, Any]]:
    """The rows of requests given by their lengths."""
    return [
        {
            "arrival": round(spec.arrival_time, 3),
            "prompt_len": spec.prompt_len,
            "output_len": spec.output_len,
            "client": spec.client or "",
            "priority": spec.priority,
        }
        for spec in requests
    ]


def to_file(scene: SavedScene) -> str:
    """The scene file's text."""
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "title": scene.title,
        "settings": scene.settings,
        "requests": rows_of(scene.requests),
    }
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def from_file(data: bytes) -> SavedScene:
    """The scene in a file's bytes. Raises SavedError."""
    if len(data) > MOST_BYTES:
        raise SavedError("too_large", most=MOST_BYTES)
    try:
        whole = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise SavedError("no_json", line=error.lineno, column=error.colno) from None
    except (UnicodeDecodeError, RecursionError):
        raise SavedError("no_text") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise SavedError("foreign", format=FORMAT)
    if whole.get("version") != VERSION:
        raise SavedError("version", found=str(whole.get("version"))[:20], known=VERSION)
    title, settings, rows = (whole.get(name) for name in ("title", "settings", "requests"))
    if not isinstance(rows, list):
        raise SavedError("no_list")
    if not isinstance(title or "", str) or len(title or "") > MOST_TITLE:
        raise SavedError("title", most=MOST_TITLE)
    settings = settings or {}
    if not isinstance(settings, dict) or not all(isinstance(v, str) for v in settings.values()):
        raise SavedError("settings")
    return SavedScene(checked(rows), title or "", settings)


def to_link(requests: Sequence[RequestSpec]) -> str:
    """The requests as a link's parameter. SavedError where it would be too long."""
    rows = [
        [round(row["arrival"] * 1000), *(row[name] for name in _FIELDS[1:])]
        for row in rows_of(requests)
    ]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    packed = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")
    if len(packed) >= MOST_LINK:
        raise SavedError("long_link", most=MOST_LINK)
    return f"{VERSION}{packed}"


def from_link(text: str) -> tuple[RequestSpec, ...]:
    """The requests of a link's parameter. Raises SavedError."""
    if len(text) > MOST_LINK:
        raise SavedError("long_link", most=MOST_LINK)
    if text[:1] != str(VERSION):
        raise SavedError("link_version", known=VERSION)
    try:
        packed = base64.b64decode(text[1:] + "=" * (-len(text[1:]) % 4), b"-_", validate=True)
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(packed, MOST_BYTES)
        if not unpacker.eof:
            raise ValueError("cut short, or too long when unpacked")
        rows = json.loads(plain)
        whole: list[dict[str, Any]] = [dict(zip(_FIELDS, row, strict=True)) for row in rows]
        for row in whole:
            row["arrival"] /= 1000
    except (binascii.Error, zlib.error, ValueError, TypeError, RecursionError):
        raise SavedError("link_damaged") from None
    return checked(whole)


def _request(row: Mapping[str, Any]) -> RequestSpec:
    unknown = [str(name)[:20] for name in row if name not in _FIELDS]
    if unknown:
        raise SavedError("unknown", name=unknown[0], known=", ".join(_FIELDS))
    arrival = row.get("arrival")
    if isinstance(arrival, bool) or not isinstance(arrival, int | float):
        raise SavedError("arrival", most=LATEST)
    if not (math.isfinite(arrival) and 0 <= arrival <= LATEST):
        raise SavedError("arrival", most=LATEST)
    client = row.get("client") or None
    if client is not None and not (
        isinstance(client, str) and len(client) <= MOST_NAME and client.isprintable()
    ):
        raise SavedError("client", most=MOST_NAME)
    return RequestSpec(
        arrival_time=round(arrival, 3),
        prompt_len=_whole(row, "prompt_len", 1, MOST_TOKENS),
        output_len=_whole(row, "output_len", 1, MOST_TOKENS),
        client=client,
        priority=_whole({"priority": 0, **row}, "priority", -MOST_PRIORITY, MOST_PRIORITY),
    )


def _whole(row: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SavedError("whole", name=name, least=least, most=most)
    return value
