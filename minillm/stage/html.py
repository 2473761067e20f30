"""A trace as one HTML file that plays offline: no network, no server, nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from html import escape
from typing import Any

from minillm.messages import DEFAULT, say
from minillm.stage.bundle import bundle, stylesheet
from minillm.stage.payload import payload

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
    shown first), `autoplay`, `select`, `present`, `compact`, `theme` ("auto", "dark" or "light").
    """
    header = json.loads(header_json)
    data = payload(header_json, record_lines, json.dumps({"language": language, **options}))
    script = bundle("page")
    style = _PAGE_STYLE + stylesheet()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; "
        f"style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    )
    tag = say(language, "stage.tag")
    name = title or header.get("title") or header.get("scene") or say(language, "stage.recording")
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
