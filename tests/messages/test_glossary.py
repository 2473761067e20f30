"""The glossary has every term minillm uses, and the Chinese catalogues use its terms."""

from __future__ import annotations

import re

import pytest

from minillm.events import WaitReason
from minillm.messages import LANGUAGES, PLACEHOLDER, catalogue
from minillm.messages.glossary import KINDS, SOURCES, glossary
from minillm.trace.metrics import GOODPUT

TABLE = {
    english.name: glossary("zh")[key].name
    for key, english in glossary("en").items()
    if english.name != glossary("zh")[key].name
}
# Words with an everyday sense, which Chinese may put in other words.
LOOSE = set(
    "batch,fork,in line,lower priority,preempted,preemption,prompt,request,reserved,step,stall,"
    "swap,tile,trace".split(",")
)
_END = {"en": re.compile(r"\.(?=\s|$)"), "zh": re.compile("。")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_term_is_defined_in_one_sentence_and_explained_in_more(language: str) -> None:
    for key, term in glossary(language).items():
        assert len(_END[language].findall(term.short)) == 1, key
        assert 2 <= len(_END[language].findall(term.long)) <= 4, key


def test_what_is_measured_and_why_one_waits_is_explained() -> None:
    terms = glossary("en")
    assert {f"wait_{reason}" for reason in WaitReason} == set(KINDS["waiting"])
    assert {*GOODPUT, "itl", "throughput", "goodput"} <= set(KINDS["metrics"])
    assert set(SOURCES) <= set(terms)
    assert len({term.name for term in terms.values()}) == len(terms)


def test_every_text_belongs_to_a_term_or_a_kind() -> None:
    wanted = {f"{key}.{text}" for key in glossary("en") for text in ("name", "short", "long")}
    wanted |= {f"kind_{kind}" for kind in KINDS}
    there = {key.partition(".")[2] for key in catalogue("en") if key.startswith("glossary.")}
    assert there == wanted


@pytest.mark.parametrize("english", sorted(set(TABLE) - LOOSE))
def test_the_chinese_catalogues_use_the_table(english: str) -> None:
    word = re.compile(rf"\b{re.escape(english)}s?\b", re.IGNORECASE)
    others = [
        key
        for key, text in catalogue("en").items()
        if word.search(_plain(text)) and TABLE[english] not in _plain(catalogue("zh")[key])
    ]
    assert others == [], f"not called {TABLE[english]}"


def _plain(text: str | dict[str, str]) -> str:
    """All forms of a text, without the names of its values."""
    forms = text.values() if isinstance(text, dict) else [text]
    return PLACEHOLDER.sub("", " ".join(forms))
