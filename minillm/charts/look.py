"""How charts look: their colours; and, of those that stand alone, type read from the back row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt

# Okabe and Ito's colours, told apart with any colour vision; shapes and dashes repeat the
# difference.
BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"
HUES = (BLUE, VERMILION, GREEN, "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
PREFILL, DECODE = VERMILION, GREEN
INK, QUIET = "#222222", "#8a8a8a"

# The stage's hues, one for each request (minillm/stage/js/palette.js; a test holds them equal).
REQUEST_HUES = (
    "#927fff", "#2d5bd2", "#91524c", "#0ea738", "#5196cf", "#7c50a7",
    "#ea6d06", "#0ca399", "#6573d4", "#8d680d", "#a23d7c", "#f35a86",
)  # fmt: skip


@dataclass(frozen=True)
class Theme:
    """What a chart is drawn with: ink, what is quieter, the paper, the grid."""

    ink: str
    quiet: str
    paper: str
    grid: str


PRINT = Theme(INK, QUIET, "white", "#e6e6e6")
"""On white, so that it can be put on a slide as it is."""
LIGHT = Theme("#1c2233", "#5a6478", "#fbfaf6", "#e4e2dc")
DARK = Theme("#e6ebf2", "#a3adbf", "#11161d", "#2b333e")
"""As the app's pages are."""


def hues(ids: Iterable[str]) -> dict[str, str]:
    """The hue of each request, as on the stage: a number's own; a fork has its parent's."""
    given: dict[str, str] = {}
    for id in ids:
        if id not in given:
            root = id.split(".")[0]
            number = int(root) if root.isascii() and root.isdigit() else len(given)
            given[id] = REQUEST_HUES[number % len(REQUEST_HUES)]
    return given


Layered = alt.LayerChart | alt.FacetChart  # what Altair says that layers are

_FONT = "Inter, Helvetica, Arial, sans-serif"


def finished(chart: alt.TopLevelMixin, theme: Theme = PRINT) -> alt.TopLevelMixin:
    """`chart` with this look."""
    return (
        chart.configure(background=theme.paper, font=_FONT, padding=16)  # type: ignore[attr-defined]
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=15,
            titleFontSize=16,
            titleFontWeight="normal",
            labelColor=theme.ink,
            titleColor=theme.ink,
            gridColor=theme.grid,
            domainColor=theme.quiet,
            tickColor=theme.quiet,
        )
        .configure_title(
            fontSize=18,
            subtitleFontSize=15,
            anchor="start",
            color=theme.ink,
            subtitleColor=theme.ink,
        )
        .configure_legend(
            labelFontSize=16,
            titleFontSize=16,
            symbolSize=160,
            labelLimit=400,
            labelColor=theme.ink,
        )
    )
