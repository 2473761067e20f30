"""What minillm says to people, in each language it speaks.

A catalogue is a folder of JSON files, one for each part of the interface; the key of a text is
its file's name, a dot, and its name in the file: `app.run_live`. A text is a template whose
`{name}` is replaced by the value of that name: an integer gets its commas, everything else is put
in as it stands. A text that changes with a count is an object of `one` and `other`, chosen by the
value named `n`. The stage reads the same files by the same rules (minillm/stage/js/messages.js).

Both languages have the same keys and the same placeholders; tests/messages holds that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "简体中文"}
DEFAULT = "en"
HERE = Path(__file__).parent
PLACEHOLDER = re.compile(r"\{(\w+)\}")

Text = str | dict[str, str]
Part = dict[str, str]  # {"text": …}, or {"id": …} of a request: its badge


def spoken(language: str) -> str:
    """`language`. KeyError for one that minillm does not speak."""
    if language not in LANGUAGES:
        raise KeyError(f"minillm does not speak {language!r}; it speaks {', '.join(LANGUAGES)}")
    return language


@cache
def catalogue(language: str) -> Mapping[str, Text]:
    """Every text of one language by its key."""
    texts: dict[str, Text] = {}
    for path in sorted((HERE / spoken(language)).glob("*.json")):
        for name, text in json.loads(path.read_text(encoding="utf-8")).items():
            texts[f"{path.stem}.{name}"] = text
    return texts


def say(language: str, key: str, /, **values: Any) -> str:
    """The text of `key` with its values put in. KeyError names a missing key or value."""
    template = _template(language, key, values)
    return PLACEHOLDER.sub(lambda match: _written(values[match[1]]), template)


def translated(language: str, text: str, key: str) -> str:
    """`text` in `language` where it is the English text of `key`; else `text` as it is: somebody's
    own words, which a scene or a recording may have in place of minillm's."""
    return say(language, key) if catalogue(DEFAULT).get(key) == text else text


def tell(language: str, key: str, /, **values: Any) -> list[Part]:
    """The same as parts, for a text with badges in it: a value that is a list of parts keeps
    them, and neighbouring texts become one part."""
    parts: list[Part] = []
    for i, piece in enumerate(PLACEHOLDER.split(_template(language, key, values))):
        value = values[piece] if i % 2 else piece
        for part in value if isinstance(value, list) else [{"text": _written(value)}]:
            if "text" in part and parts and "text" in parts[-1]:
                parts[-1] = {"text": parts[-1]["text"] + part["text"]}
            elif part != {"text": ""}:
                parts.append(part)
    return parts


def _template(language: str, key: str, values: Mapping[str, Any]) -> str:
    text = catalogue(language)[key]
    if isinstance(text, dict):
        return text["one" if values["n"] == 1 else "other"]
    return text


def _written(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
