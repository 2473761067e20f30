"""The picture of a kernel's X-ray in Streamlit, through `st.components.v2`, as the stage is
(`streamlit_host.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from minillm.messages import DEFAULT, spoken
from minillm.stage.bundle import HERE, bundle, stylesheet


def xray_picture(
    id: str,
    xrays: Mapping[str, str | None],
    *,
    key: str,
    layout: str,
    place: str = "",
    height: int = 640,
    language: str = DEFAULT,
    on_layout: Callable[[], None],
    on_place: Callable[[], None],
    **options: Any,
) -> Any:
    """Mount the picture, or bring the mounted one up to date.

    `xrays`: X-rays of one case as JSON text by their layouts, None for a layout that the kernel
    does not read; `id` is another for others. `layout`: the one that is drawn. `place`: the program
    and the load at which another X-ray begins, such as "0,1:12". `height`: CSS px. `options`:
    `theme`, `present`, `bare`, `wholePage`. `result.layout` is, for the run it causes, a
    layout that was clicked, and `result.place` where somebody has moved to; `on_layout` and
    `on_place` are called before that run.
    """
    return _component()(
        key=key,
        height=height,
        data={
            "id": id,
            "xrays": dict(xrays),
            "layout": layout,
            "place": place,
            "height": height,
            "options": {"language": spoken(language), **options},
        },
        on_layout_change=on_layout,
        on_place_change=on_place,
    )


@cache
def _component() -> Callable[..., Any]:
    from streamlit.components.v2 import component

    style = stylesheet() + (HERE / "xray" / "xray.css").read_text(encoding="utf-8")
    return component("minillm_xray", css=style, js=bundle("xray"))
