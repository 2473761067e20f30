"""The stage: one front-end component that draws a trace and plays it, and its three hosts.

`show` and `compare` put it into a notebook; `to_html` and `comparison_to_html` make pages of their
own; the Streamlit host is `minillm.stage.streamlit_host`. Nothing is imported before it is asked
for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minillm.stage.html import comparison_to_html, to_html
    from minillm.stage.notebook import compare, show

__all__ = ["compare", "comparison_to_html", "show", "to_html"]


def __getattr__(name: str) -> object:
    if name in ("to_html", "comparison_to_html"):
        from minillm.stage import html

        return getattr(html, name)
    if name in ("show", "compare"):
        from minillm.stage import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
