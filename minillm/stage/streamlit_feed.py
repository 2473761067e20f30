"""What a growing recording has to tell the stage in Streamlit, without reruns.

A rerun of a fragment takes the interpreter some 10 ms, and one of `streamlit_host.stage` sends
190 kB of script and style along; an engine in the same process waits meanwhile. So the stage is
mounted once, with the header, and beside it this small component, which fetches what has come since
from a route of the server, `PATH`: again some time after each answer as long as there may be more,
at once where more is there already, and soon after the stage's controls were used. The stage plays
what came until the next. `answer` makes what the route answers with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from msgspec import json

from minillm.stage.bundle import bundle

PATH = "feed/{token}"  # below the server's base path; it is asked with ?next=&lang=
MOST_PER_ANSWER = 4000  # records
_CSS = "p { margin: 0; white-space: nowrap; opacity: 0.8; font-variant-numeric: tabular-nums; }"


def feed(
    *, key: str, token: str, session: str, language: str, more: bool, on_rest: Callable[[], None]
) -> None:
    """Feed the stage that shows `session` with what the server answers for `token`.

    `more`: what the answers are known to say. As soon as they say something else there is a rerun,
    and one where they come to be of another session; `on_rest` is called before it.
    """
    data = {"token": token, "session": session, "language": language, "more": more}
    _component()(key=key, data=data, on_rest_change=on_rest)


def answer(
    records: Sequence[bytes],
    first: int | None,
    *,
    session: str,
    running: bool,
    more: bool,
    line: str = "",
) -> bytes:
    """The answer, JSON. Nothing is parsed for it.

    `records` are the lines of a trace file behind its header (keyframes behind the first step are
    of no use) and only ever grow within a `session`; `first` is the index of the first one asked
    for, None where the stage has not said. `running`: the engine makes steps. `more`: records may
    come without anything being asked of the engine. `line` is a text to stand below the stage.
    """
    total = len(records)
    first = total if first is None else max(0, min(first, total))
    told = {
        "session": session,
        "first": first,
        "total": total,
        "running": running,
        "more": more,
        "line": line,
    }
    lines = b",".join(records[first : first + MOST_PER_ANSWER])
    return json.encode(told)[:-1] + b',"records":[' + lines + b"]}"


@cache
def _component() -> Callable[..., Any]:
    from streamlit.components.v2 import component

    return component("minillm_feed", css=_CSS, js=bundle("streamlit_feed"))
