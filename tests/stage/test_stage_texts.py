"""What the stage says comes from the catalogues: no words are left in its scripts, and every text
of the catalogue is asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from minillm.messages import catalogue

STAGE = Path(__file__).parents[2] / "minillm" / "stage"
SCRIPTS = sorted([STAGE / "stage.js", *(STAGE / "js").glob("*.js")])

_COMMENT = re.compile(r"^\s*(?://|/?\*).*|\s// .*", re.MULTILINE)
_NOT_SAID = re.compile(r"^import .*|throw new .*|matchMedia\(.*", re.MULTILINE)
_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"' + r"|'((?:[^'\\\n]|\\.)*)'" + r"|`([^`]*)`")
_VALUE = re.compile(r"\$\{[^}]*\}")
_WORDS = re.compile(r"[A-Za-z]{2,},? [A-Za-z]{2,}|(?<!\S)[+·]? ?[a-z]{3,}(?= \0)|\0 [a-z]{3,}")
_LABEL = re.compile(r"[A-Z][a-z]{2,}")
KEYS = {"Home", "End", "Escape"}  # what the keyboard calls them


def _said(script: str) -> list[str]:
    """String literals with words for people in them."""
    code = _NOT_SAID.sub("", _COMMENT.sub("", script))
    found = []
    for match in _LITERAL.finditer(code):
        literal = _VALUE.sub("\0", match[1] or match[2] or match[3] or "")
        if all(word.startswith("ms-") for word in literal.split()):
            continue
        if _WORDS.search(literal) or (_LABEL.fullmatch(literal) and literal not in KEYS):
            found.append(literal)
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_no_words_are_left_in_a_script(path: Path) -> None:
    assert _said(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        'setText(node, "no step yet");',
        "setText(node, `+${count(left)} more`);",
        'button("start", "Start", "Home");',
        "const tip = `held by ${who}`;",
    ],
)
def test_words_would_be_found(line: str) -> None:
    assert len(_said(line)) == 1


def test_every_text_is_asked_for() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    groups = set(re.findall(r"`stage\.(\w+_)\$\{", code)) | {"reason_", "finish_"}
    direct = set(re.findall(r'"(?:stage\.)?(\w+)"', code))
    names = [key.partition(".")[2] for key in catalogue("en") if key.startswith("stage.")]
    unused = [n for n in names if n not in direct and not n.startswith(tuple(groups))]
    assert unused == []
