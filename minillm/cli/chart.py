"""Charts of commands: to a file, as its name says."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minillm.cli.shell import fail, output

_KINDS = (".html", ".svg", ".png")


def check_chart(path: Path) -> None:
    """Ends the command, before anything is computed, where `path` could not be drawn."""
    if path.suffix not in _KINDS:
        fail(f"a chart is {', '.join(_KINDS)}, not {path.name!r}")
    for module in ("altair", "vl_convert"):
        if find_spec(module) is None:
            fail('charts need Altair and vl-convert: pip install "minillm-lab[bench]"')


def save_chart(chart: Any, path: Path) -> None:
    """Write an Altair chart; a page works without a network."""
    from minillm.charts.save import save

    try:
        save(chart, path)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror or error}")
    output().print(f"Drawn: {path}", markup=False)
