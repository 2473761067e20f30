"""Record the pictures of a lesson: `python scripts/record_lessons.py NAME …`, then make notebooks.

Runs the solution in every language, and keeps what the cells with `picture=` show: a chart, or,
with `stage=` the name of a trace, the stage. The figures in them are this machine's.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jupytext
import nbformat
import vl_convert
from nbclient import NotebookClient
from PIL import Image
from playwright.sync_api import sync_playwright

from minillm.doctor import find_browser
from minillm.lesson.authoring import cell_id
from minillm.messages import LANGUAGES

LESSONS = Path(__file__).parents[1] / "lessons"
SCALE = 1.5  # pixels per px
COLOURS = 256  # a third of the bytes, and requests keep theirs
STAGE = {"width": 860, "height": 560}  # px


def main() -> None:
    for name in sys.argv[1:]:
        for language in LANGUAGES:
            with TemporaryDirectory() as scratch:
                record(name, language, Path(scratch))


def record(name: str, language: str, scratch: Path) -> None:
    os.environ["MINILLM_PROGRESS"] = str(scratch / "progress.json")
    source = (LESSONS / "source" / f"{name}.py").read_text(encoding="utf-8")
    wanted = {
        cell_id(name, number): cell.metadata
        for number, cell in enumerate(jupytext.reads(source, fmt="py:percent").cells)
        if "picture" in cell.metadata
    }
    path = LESSONS / "solutions" / language / f"{name}.ipynb"
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            if trace := wanted.get(cell.id, {}).get("stage"):
                page = stage_page(scratch, cell.id)
                cell.source += f"\n{trace}.to_html({str(page)!r}, language={language!r})"
    resources = {"metadata": {"path": str(scratch)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    folder = LESSONS / "pictures" / language / name
    folder.mkdir(parents=True, exist_ok=True)
    for cell in notebook.cells:
        if cell.id in wanted:
            about = wanted[cell.id]
            page = stage_page(scratch, cell.id)
            drawn = photographed(page) if "stage" in about else chart(cell)
            picture = Image.open(io.BytesIO(drawn)).convert("RGB")
            picture = picture.quantize(COLOURS, Image.Quantize.FASTOCTREE)
            picture.save(folder / f"{about['picture']}.png", optimize=True)
            print(folder / f"{about['picture']}.png")


def stage_page(scratch: Path, cell: str) -> Path:
    return scratch / f"{cell}.html"


def chart(cell: Any) -> bytes:
    (svg,) = [
        output.data["image/svg+xml"]
        for output in cell.outputs
        if "image/svg+xml" in output.get("data", ())
    ]
    return vl_convert.svg_to_png(svg, scale=SCALE)


def photographed(page: Path) -> bytes:
    """The stage as it opens."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        tab = browser.new_page(viewport=STAGE, device_scale_factor=SCALE)  # type: ignore[arg-type]
        tab.goto(page.as_uri())
        tab.wait_for_selector(".minillm-readout", state="attached")
        tab.evaluate("document.fonts.ready")
        return tab.screenshot()


if __name__ == "__main__":
    main()
