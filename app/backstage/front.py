"""The small front-end parts of the pages: app/front/<name>.js and .css, with the stage's hues."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from minillm.stage.bundle import HERE as STAGE
from minillm.stage.bundle import join

FRONT = Path(__file__).parents[1] / "front"


@cache
def part(name: str) -> Callable[..., Any]:
    """The component `name`. Streamlit is asked for it once."""
    from streamlit.components.v2 import component

    own = ((FRONT / f"{each}.js").read_text(encoding="utf-8") for each in ("elements", name))
    script = "\n".join((join(STAGE / "js" / "palette.js"), *own))
    style = (FRONT / f"{name}.css").read_text(encoding="utf-8")
    return component(f"minillm_{name}", js=script, css=style)


def nothing() -> None:
    """Streamlit reports a value only where a callback is given."""
