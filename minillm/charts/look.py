"""How charts look: their colours; and, of those that stand alone, type read from the back row."""

from __future__ import annotations

import altair as alt

# Okabe and Ito's colours, told apart with any colour vision; shapes and dashes repeat the
# difference.
BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"
HUES = (BLUE, VERMILION, GREEN, "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
PREFILL, DECODE = VERMILION, GREEN
INK, QUIET = "#222222", "#8a8a8a"

Layered = alt.LayerChart | alt.FacetChart  # what Altair says that layers are

_FONT = "Inter, Helvetica, Arial, sans-serif"


def finished(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """`chart` with this look, on white, so that it can be put on a slide as it is."""
    return (
        chart.configure(background="white", font=_FONT, padding=16)  # type: ignore[attr-defined]
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=15,
            titleFontSize=16,
            titleFontWeight="normal",
            labelColor=INK,
            titleColor=INK,
            gridColor="#e6e6e6",
            domainColor=QUIET,
            tickColor=QUIET,
        )
        .configure_title(fontSize=18, subtitleFontSize=15, anchor="start", subtitleColor=INK)
        .configure_legend(labelFontSize=16, titleFontSize=16, symbolSize=160, labelLimit=400)
    )
