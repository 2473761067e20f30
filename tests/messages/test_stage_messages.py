"""The stage says each text as Python does, in both languages."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from minillm.messages import LANGUAGES, PLACEHOLDER, catalogue, say, tell

HERE = Path(__file__).parent
VALUES: tuple[Any, ...] = (
    0,
    1234567,
    "<b>{n}</b>",
    "",
    [{"id": "7"}, {"text": " and "}, {"id": "7.1"}],
    [],
)


def _plain(value: Any) -> Any:
    """A value as it stands in a plain text."""
    if not isinstance(value, list):
        return value
    return "".join(part.get("text") or f"[{part['id']}]" for part in value)


def _questions() -> list[tuple[str, str, dict[str, Any]]]:
    """Every text the stage has, with every sort of value in every place, and each count."""
    questions = []
    for language in LANGUAGES:
        for key, text in catalogue(language).items():
            if not key.startswith(("stage.", "narration.", "scenes.", "why.", "kernel.")):
                continue
            forms = text.values() if isinstance(text, dict) else [text]
            names = sorted({name for form in forms for name in PLACEHOLDER.findall(form)})
            for turn in range(len(VALUES)):
                values = {name: VALUES[(i + turn) % len(VALUES)] for i, name in enumerate(names)}
                questions.append((language, key, {**values, "n": (0, 1, 2, 12345, -1234, 1)[turn]}))
    return questions


def test_the_stage_says_the_same() -> None:
    questions = _questions()
    done = subprocess.run(
        ["node", str(HERE / "say_in_node.mjs")],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for (language, key, values), (text, parts) in zip(
        questions, json.loads(done.stdout), strict=True
    ):
        flat = {name: _plain(value) for name, value in values.items()}
        assert text == say(language, key, **flat)
        assert parts == tell(language, key, **values)


@pytest.mark.parametrize(
    ("language", "key", "values", "complaint"),
    [
        ("fr", "stage.request", {}, "unknown language fr: use en,zh"),
        ("en", "stage.nonsense", {}, "no text stage.nonsense in en"),
        ("en", "stage.request", {}, "stage.request needs a value for id"),
    ],
)
def test_the_stage_complains_as_python_does(
    language: str, key: str, values: dict[str, Any], complaint: str
) -> None:
    done = subprocess.run(
        ["node", str(HERE / "say_in_node.mjs")],
        input=json.dumps([[language, key, values]]),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert f"RangeError: {complaint}" in done.stderr
    with pytest.raises(KeyError):
        say(language, key, **values)
