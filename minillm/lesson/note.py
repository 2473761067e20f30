"""A note: what a lesson says below a cell, in a notebook and in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Kind = Literal["plain", "good", "bad", "hint"]

_COLOURS: dict[Kind, str] = {
    "plain": "#5a6478",
    "good": "#009e73",
    "bad": "#d55e00",
    "hint": "#0072b2",
}
_SIGNS: dict[Kind, str] = {"plain": "", "good": "✓ ", "bad": "✗ ", "hint": ""}
_BOX = (
    "border-left:4px solid {colour};padding:6px 0 6px 14px;margin:4px 0;max-width:46em;"
    "font-size:15px;line-height:1.5"
)
_CODE = (
    "margin:6px 0 0;padding:8px 10px;font-size:13px;line-height:1.4;white-space:pre-wrap;"
    "background:var(--jp-layout-color2,#f3f3f0)"
)


@dataclass(frozen=True)
class Note:
    """A title in bold, paragraphs below it, and `code`: lines of a program, or what it printed."""

    title: str
    body: Sequence[str] = ()
    kind: Kind = "plain"
    code: str = ""

    def __str__(self) -> str:
        lines = [_SIGNS[self.kind] + self.title, *self.body]
        return "\n".join([*lines, *(f"    {line}" for line in self.code.splitlines())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        colour = _COLOURS[self.kind]
        title = f'<strong style="color:{colour}">{escape(_SIGNS[self.kind])}</strong>'
        parts = [f"<div>{title}<strong>{escape(self.title)}</strong></div>"]
        parts += [f"<div>{escape(text)}</div>" for text in self.body]
        if self.code:
            parts.append(f'<pre style="{_CODE}">{escape(self.code)}</pre>')
        return f'<div style="{_BOX.format(colour=colour)}">{"".join(parts)}</div>'


@dataclass(frozen=True)
class Table:
    """Figures below a cell: rows of equal length, text or numbers, under `heads`."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str | float]]

    def __repr__(self) -> str:
        written = [list(self.heads), *([_written(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*written, strict=True)]
        return "\n".join(
            "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
            for row in written
        )

    def _repr_html_(self) -> str:
        heads = "".join(_cell("th", head, "left") for head in self.heads)
        rows = [
            "".join(
                _cell("td", _written(value), "left" if isinstance(value, str) else "right")
                for value in row
            )
            for row in self.rows
        ]
        body = "".join(f"<tr>{row}</tr>" for row in (heads, *rows))
        return f'<table style="font-size:14px;font-variant-numeric:tabular-nums">{body}</table>'


def _cell(tag: str, text: str, align: str) -> str:
    return f'<{tag} style="text-align:{align};padding:4px 14px 4px 4px">{escape(text)}</{tag}>'


def _written(value: str | float) -> str:
    """Three digits are enough to read."""
    if isinstance(value, str):
        return value
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.3g}"
        if value < 1e3
        else f"{value:,.0f}"
    )
