"""A chart as a file."""

from __future__ import annotations

from pathlib import Path

import altair as alt

_PIXELS = 2  # per px: sharp on a projector


def save(chart: alt.TopLevelMixin, path: Path) -> None:
    """.html (works offline), .svg or .png, by the name of `path`. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        chart.save(path, inline=True)
    elif path.suffix == ".png":
        chart.save(path, scale_factor=_PIXELS)
    else:
        chart.save(path)
