"""The guided tour of the Live page."""

from __future__ import annotations

import streamlit as st

from backstage.front import part
from backstage.session import Session
from backstage.speech import language, say
from minillm.messages import catalogue

STEPS = {
    "narration": ".ms-narration",
    "batch": ".ms-batch",
    "blocks": ".ms-blocks",
    "timeline": ".ms-timeline",
    "controls": ".ms-controls",
    "run": ".st-key-run",
}
"""What is explained, in order, and where it is on the page."""
_TEXTS = ("tour", "next", "back", "skip", "done", "count")


def draw(session: Session) -> None:
    """The tour's link; the tour comes by itself on a first visit. A page that somebody has arranged
    for others is left alone."""
    if session.look.present or session.look.hide:
        return
    texts = catalogue(language())
    with st.container(key="tour", width="content"):
        part("tour")(
            key="guide",
            data={
                "steps": [
                    {"at": place, "title": say(f"tour.{name}"), "words": say(f"tour.{name}_words")}
                    for name, place in STEPS.items()
                ],
                "text": {name: texts[f"tour.{name}"] for name in _TEXTS},
            },
        )
