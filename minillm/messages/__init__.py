"""What minillm says to people, in each language it speaks.

A catalogue is a folder of JSON files, one for each part of the interface; the key of a text is
its file's name, a dot, and its name in the file: `app.run_live`. A text is a template whose
`{name}` is replaced by the value of that name: an integer gets its commas, everything else is put
in as it stands. A text that changes with a count is an object of `one` and `other`, chosen by the
value named `n`. The stage reads the same files (minillm/stage/bundle.py hands them to it).

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


@cache
def catalogue(language: str) -> Mapping[str, Text]:
    """Every text of one language by its key. KeyError for a language that is not spoken."""
    if language not in LANGUAGES:
        raise KeyError(f"minillm does not speak {language!r}; it speaks {', '.join(LANGUAGES)}")
    texts: dict[str, Text] = {}
    for path in sorted((HERE / language).glob("*.json")):
        for name, text in json.loads(path.read_text(encoding="utf-8")).items():
            texts[f"{path.stem}.{name}"] = text
    return texts


def say(language: str, key: str, **values: Any) -> str:
    """The text of `key` with its values put in. KeyError names a missing key or value."""
    text = catalogue(language)[key]
    if isinstance(text, dict):
        text = text["one" if values["n"] == 1 else "other"]
    return PLACEHOLDER.sub(lambda match: _written(values[match[1]]), text)


def _written(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
