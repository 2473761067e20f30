"""The Glossary page: every term, found by its words and by a link."""

from __future__ import annotations

from typing import Any

import pytest
from backstage.terms import matching

from minillm.messages import LANGUAGES
from minillm.messages.glossary import glossary


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_has_every_term(page: Any, language: str) -> None:
    at = page("glossary", lang=language)
    said = "\n".join(each.value for each in at.markdown)
    for term in glossary(language).values():
        assert f"**{term.name}**" in said
        assert term.long in said


def test_a_search_finds_names_before_texts() -> None:
    terms = glossary("en")
    assert matching(terms, "") == list(terms.values())
    assert matching(terms, "TTFT")[0].key == "ttft"
    assert matching(terms, "copy write")[0].key == "copy_on_write"
    assert matching(terms, "xyzzy") == []
    assert matching(glossary("zh"), "块表")[0].key == "block_table"


def test_a_link_opens_its_term(page: Any) -> None:
    at = page("glossary", term="goodput")
    said = next(each.value for each in at.markdown if each.value.startswith("**"))
    assert said.startswith(f"**{glossary('en')['goodput'].name}**")
    assert "Did you mean goodput?" in page("live", term="goodputt").error[0].value


def test_metrics_are_linked_to_their_terms(page: Any) -> None:
    at = page("compare", lang="zh")
    (table,) = [each.value for each in at.markdown if each.value.startswith("|")]
    for term in ("ttft", "tpot", "itl", "e2el", "throughput"):
        assert f"(glossary?term={term}&lang=zh)" in table


def test_the_words_of_each_page_lead_to_the_glossary(page: Any) -> None:
    from backstage.blocked import table
    from backstage.shown import from_bundle

    lives = from_bundle("long-prompt-vllm").lives()
    addresses = table(lives, None)["terms"].values()
    asked = [address.split("term=")[1].split("&")[0] for address in addresses]
    assert set(asked) <= set(glossary("en"))
    at = page("memory", scene="three-memories")
    assert any("glossary?term=internal_fragmentation&lang=en" in c.value for c in at.caption)
