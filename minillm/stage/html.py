"""A trace, or several side by side, as one HTML file that plays offline: no network, no server,
nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Literal

from minillm.messages import DEFAULT, say
from minillm.stage.bundle import bundle, stylesheet
from minillm.stage.payload import comparison, payload, together

_PAGE_STYLE = "html,body{margin:0;height:100%}#minillm-stage{height:100vh}"


def to_html(
    header_json: str,
    record_lines: Iterable[str],
    *,
    title: str = "",
    language: str = DEFAULT,
    **options: Any,
) -> str:
    """The page. `header_json` and each of `record_lines` are lines of a trace file, as text.

    `language` is one of `minillm.messages.LANGUAGES`. `options` go to the stage: `start` (the step
    shown first), `autoplay`, `select`, `present`, `notes`, `compact`, `theme` ("auto", "dark" or
    "light").
    """
    header = json.loads(header_json)
    data = payload(header_json, record_lines, json.dumps({"language": language, **options}))
    name = title or header.get("title") or header.get("scene") or say(language, "stage.recording")
    return _page(data, name, language)


def comparison_to_html(
    traces: Sequence[tuple[str, Iterable[str]]],
    *,
    title: str = "",
    names: Sequence[str] | None = None,
    axis: Literal["time", "step"] = "time",
    differences: Sequence[Mapping[str, Any]] = (),
    language: str = DEFAULT,
    **options: Any,
) -> str:
    """The page of two to four `traces`, each its header's line and its records' lines, with one
    cursor; see `minillm.stage.notebook.compare`. ValueError where they cannot be compared."""
    given = comparison(len(traces), names, axis, differences)
    settings = json.dumps({"language": language, **given, **options})
    data = f'{{"options":{settings},"traces":{together(traces)}}}'
    return _page(data, title or " · ".join(given["names"]) or "minillm", language)


def _page(data: str, name: str, language: str) -> str:
    script = bundle("page")
    style = _PAGE_STYLE + stylesheet()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; "
        f"style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    )
    tag = say(language, "stage.tag")
    return (
        f'<!doctype html>\n<html lang="{tag}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        '<main><div id="minillm-stage"></div></main>\n'
        f'<script type="application/json" id="minillm-trace">{_inert(data)}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def _inert(data: str) -> str:
    """JSON text that no HTML parser takes for anything but text. Outside strings it has none."""
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return data


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
