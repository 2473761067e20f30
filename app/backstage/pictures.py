"""Charts on a page: on its paper, in its ink. Altair takes seconds to load: import this late."""

from __future__ import annotations

from typing import Literal, cast

import altair as alt
import streamlit as st

from backstage.front import part
from backstage.speech import say
from minillm.charts.look import DARK, LIGHT, Theme


def theme() -> Theme:
    """What the visitor's page is drawn with."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def draw(
    chart: alt.TopLevelMixin,
    key: str,
    width: Literal["stretch", "content"] = "stretch",
) -> None:
    """Draw `chart`, whatever kind it is, as it says itself, with a way to save it."""
    texts = {
        "save": say("app.picture_save"),
        **{kind: say("app.picture_as", kind=kind.upper()) for kind in ("svg", "png")},
    }
    name = f"minillm-{key.replace('_', '-')}"
    with st.container(key=f"chart-{key}", gap="xsmall"):
        st.altair_chart(cast(alt.Chart, chart), theme=None, key=key, width=width)
        part("picture")(key=f"save-{key}", data={"chart": key, "name": name, "text": texts})
