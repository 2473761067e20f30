"""The glossary as a page, and links to it from wherever a term stands."""

from __future__ import annotations

import streamlit as st

from backstage.session import Session
from backstage.speech import language, say
from backstage.words import inert
from minillm.messages.glossary import Term, glossary


def link(key: str, text: str) -> str:
    """`text` as a Markdown link to the term `key`."""
    return f"[{inert(text)}]({address(key)})"


def address(key: str) -> str:
    """Where the term `key` stands, from any page."""
    return f"glossary?term={key}&lang={language()}"


def line(*keys: str) -> str:
    """The terms `keys` in a line of Markdown, each a link."""
    known = glossary(language())
    return f"{say('terms.words')} " + " · ".join(link(key, known[key].name) for key in keys)


def draw(session: Session) -> None:
    terms = glossary(language())
    with st.container(key="page"):
        _asked(session, terms)
        wanted = st.text_input(
            say("terms.search"),
            key="glossary-search",
            placeholder=say("terms.search"),
            label_visibility="collapsed",
            width=420,
        )
        found = matching(terms, wanted)
        if not found:
            st.caption(say("terms.none", text=inert(wanted[:40])))
        for kind in dict.fromkeys(term.kind for term in found):
            st.subheader(say(f"glossary.kind_{kind}"), anchor=kind)
            of_kind = [term for term in found if term.kind == kind]
            half = -(-len(of_kind) // 2)
            for column, part in zip(
                st.columns(2, gap="large"), (of_kind[:half], of_kind[half:]), strict=True
            ):
                for term in part:
                    column.markdown(_entry(term))


def matching(terms: dict[str, Term], text: str) -> list[Term]:
    """The terms in whose name or text each word of `text` is found; those named so come first."""
    words = text.casefold().split()

    def missing(term: Term) -> bool:
        said = f"{term.key} {term.name} {term.short} {term.long}".casefold()
        return any(word not in said for word in words)

    found = [term for term in terms.values() if not missing(term)]
    if not words:
        return found
    return sorted(found, key=lambda term: not all(w in term.name.casefold() for w in words))


def _asked(session: Session, terms: dict[str, Term]) -> None:
    """The term that the link asks for stands above all others."""
    term = terms.get(session.own["term"] or "")
    if term is None:
        return
    with st.container(key="headline"):
        st.markdown(f"**{term.name}** — {term.short}")
    st.markdown(term.long)
    if term.source:
        st.caption(say("terms.source", source=term.source))


def _entry(term: Term) -> str:
    source = f" *{term.source}*" if term.source else ""
    said = say("app.sentences", first=term.short, second=term.long)
    return f"**{term.name}** — {said}{source}"
