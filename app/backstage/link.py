"""The page's link: everything that it says, read and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backstage import choice as choices
from backstage.choice import Choice
from backstage.own import OWN, defaults
from backstage.parameters import near, on_off, one_of, whole
from minillm.messages import DEFAULT, LANGUAGES, say

PARTS = (
    "nav",
    "bar",
    "settings",
    "prompt",
    "recording",
    "question",
    "requests",
    "figures",
    "controls",
    "class",
    "status",
)
"""What `hide=` can take away."""
_MOST_STEPS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the page is shown; field names are parameters. `lang` is None where the link leaves the
    language to the browser; `step` and `select` are the moment on the stage and the request that
    is picked out there."""

    lang: str | None = None
    hide: frozenset[str] = frozenset()
    present: bool = False
    step: int | None = None
    select: str | None = None

    def hides(self, part: str) -> bool:
        """A presentation is the stage alone, moved by keys."""
        return self.present or part in self.hide


@dataclass(frozen=True)
class Link:
    """A link as it was understood. `own` has what belongs to one page each; `problems` a sentence
    for each parameter that cannot be followed, in the link's language."""

    choice: Choice
    look: Look
    own: dict[str, Any] = field(default_factory=defaults)
    problems: list[str] = field(default_factory=list)


def read(query: Mapping[str, str], language: str = DEFAULT) -> Link:
    """What a link asks for. `language` is the visitor's, if the link names none."""
    if query.get("lang") in LANGUAGES:
        language = query["lang"]
    problems: list[str] = []
    engine: dict[str, str] = {}
    look: dict[str, Any] = {}
    own = defaults()
    for key, text in query.items():
        if key in choices.PARAMETERS:
            engine[key] = text
        elif key in _READERS or key in OWN:
            try:
                if key in OWN:
                    own[key] = OWN[key].read(language, text)
                else:
                    look[key] = _READERS[key](language, text)
            except ValueError as why:
                problems.append(say(language, "app.link_bad", name=key, text=text[:40], why=why))
        else:
            hint = near(language, key, (*choices.PARAMETERS, *_READERS, *OWN))
            problems.append(say(language, "app.link_unknown", name=key[:40]) + hint)
    choice, more = choices.from_query(engine, language)
    return Link(choice, Look(**look), own, problems + more)


def write(choice: Choice, look: Look, own: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a link that opens what is seen; what is as usual is left out."""
    query = choices.to_query(choice)
    if look.lang is not None:
        query["lang"] = look.lang
    if look.hide:
        query["hide"] = ",".join(part for part in PARTS if part in look.hide)
    if look.present:
        query["present"] = "on"
    if look.step is not None:
        query["step"] = str(look.step)
    if look.select is not None:
        query["select"] = look.select
    for name, value in own.items():
        if value != OWN[name].default:
            query[name] = OWN[name].write(value)
    return query


def _hide(language: str, text: str) -> frozenset[str]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return frozenset(one_of(language, part, PARTS) for part in parts)


def _select(language: str, text: str) -> str:
    if not 0 < len(text) <= 40 or not text.replace(".", "").replace("-", "").isalnum():
        raise ValueError(say(language, "app.link_request"))
    return text


_READERS: Mapping[str, Callable[[str, str], object]] = {
    "lang": lambda language, text: one_of(language, text, LANGUAGES),
    "hide": _hide,
    "present": on_off,
    "step": lambda language, text: whole(language, text, 0, _MOST_STEPS),
    "select": _select,
}
