"""The catalogues say the same in every language, and nothing is left in English."""

from __future__ import annotations

import re

import pytest

from minillm.messages import DEFAULT, LANGUAGES, PLACEHOLDER, catalogue, say, tell

OTHERS = [language for language in LANGUAGES if language != DEFAULT]
_HAN = re.compile(r"[\u4e00-\u9fff]")
_ENGLISH_WORD = re.compile(r"[a-z]{4,}")
_THE_SAME = re.compile(r"token|\{\w+\}")  # a token is called that in Chinese, too


def _forms(text: str | dict[str, str]) -> list[str]:
    return list(text.values()) if isinstance(text, dict) else [text]


@pytest.mark.parametrize("language", OTHERS)
def test_the_same_keys_in_every_language(language):
    assert set(catalogue(language)) == set(catalogue(DEFAULT))


@pytest.mark.parametrize("language", OTHERS)
def test_the_same_placeholders_in_every_language(language):
    for key, text in catalogue(DEFAULT).items():
        wanted = {name for form in _forms(text) for name in PLACEHOLDER.findall(form)}
        for form in _forms(catalogue(language)[key]):
            assert set(PLACEHOLDER.findall(form)) <= wanted, key
        found = {n for form in _forms(catalogue(language)[key]) for n in PLACEHOLDER.findall(form)}
        assert found | {"n"} == wanted | {"n"}, key


def test_nothing_is_left_in_english():
    """A text with an English word in it is Chinese only if it has Chinese characters too, or
    names a paper."""
    left = [
        key
        for key, text in catalogue("zh").items()
        if not key.endswith(".source")
        for form in _forms(text)
        if _ENGLISH_WORD.search(_THE_SAME.sub("", form)) and not _HAN.search(form)
    ]
    assert left == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_a_text(language):
    for key, text in catalogue(language).items():
        assert not isinstance(text, dict) or set(text) == {"one", "other"}, key
        assert all(isinstance(form, str) and form.strip() for form in _forms(text)), key


def test_values_are_put_in_as_they_stand(monkeypatch):
    texts = {"a.b": "{who} has {n}", "a.c": {"one": "one {x}", "other": "{n} {x}"}}
    monkeypatch.setattr("minillm.messages.catalogue", lambda language: texts)
    assert say("en", "a.b", who="{n}<b>", n=12345) == "{n}<b> has 12,345"
    assert say("en", "a.c", n=1, x="y") == "one y"
    assert say("en", "a.c", n=2, x="y") == "2 y"
    with pytest.raises(KeyError, match="who"):
        say("en", "a.b", n=1)


def test_an_unknown_language_is_an_error():
    with pytest.raises(KeyError, match="'fr'"):
        catalogue("fr")


def test_badges_stay_parts(monkeypatch):
    texts = {"a.b": "{who} waits{why}."}
    monkeypatch.setattr("minillm.messages.catalogue", lambda language: texts)
    who = [{"id": "7"}, {"text": " and "}, {"id": "8"}]
    assert tell("en", "a.b", who=who, why="") == [*who, {"text": " waits."}]
    assert tell("en", "a.b", who="all", why=who) == [
        {"text": "all waits"},
        *who,
        {"text": "."},
    ]
