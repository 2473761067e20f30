"""The stage: one front-end component that draws a trace and plays it, and its three hosts.

`show` and `compare` put it into a notebook; `to_html` makes a page of its own; the Streamlit host
is `minillm.stage.streamlit_host`. Nothing here is imported before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minillm.stage.html import to_html
    from minillm.stage.notebook import compare, show

__all__ = ["compare", "show", "to_html"]


def __getattr__(name: str) -> object:
    if name == "to_html":
        from minillm.stage.html import to_html

        return to_html
    if name in ("show", "compare"):
        from minillm.stage import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
