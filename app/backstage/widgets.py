"""What Streamlit's own widgets say, in the visitor's language. Streamlit speaks English only, but
a style sheet can put other words in the place of its own."""

from __future__ import annotations

import json

import streamlit as st

from backstage.speech import say

_DROP = '[data-testid="stFileUploaderDropzone"]'
_PLACES = {
    f'{_DROP} button [data-testid="stMarkdownContainer"]': "upload",
    f'{_DROP} [data-testid="stFileUploaderDropzoneInstructions"]': "upload_limit",
}
_SKIP = '[data-testid="stSkipToContent"]'  # seen while it has the focus
_HINTS = '[data-testid="InputInstructions"]'  # "Press Enter to apply"
_UNSEEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);"
# Still there for a screen reader, which does not take a button's name from a style sheet alone.


def speak() -> None:
    """Put the visitor's language over Streamlit's."""
    rules = [f"{_HINTS} {{ display: none; }}"]
    for place, key in _PLACES.items():
        words = json.dumps(say(f"app.{key}"), ensure_ascii=False)
        rules.append(f"{place} > * {{ {_UNSEEN} }}")
        rules.append(f"{place}::after {{ content: {words}; font-size: 14px; }}")
    words = json.dumps(say("app.skip"), ensure_ascii=False)
    rules.append(f"{_SKIP} {{ font-size: 0 !important; }}")
    rules.append(f"{_SKIP}::after {{ content: {words}; font-size: 14px; }}")
    st.html(f"<style>{' '.join(rules)}</style>")
