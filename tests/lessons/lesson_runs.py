"""Running a lesson's notebook as JupyterLab's "run all" does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
LESSONS = sorted(path.stem for path in (ROOT / "lessons" / "source").glob("*.py"))


@dataclass(frozen=True)
class Run:
    """The cells of a notebook after it ran; each error by the cell's first line."""

    cells: list[Any]

    @property
    def errors(self) -> list[tuple[str, str]]:
        """(first line of the cell, name of the error)."""
        return [
            (cell.source.splitlines()[0], output.ename)
            for cell in self.cells
            for output in cell.get("outputs", ())
            if output.output_type == "error"
        ]

    def said(self, starts: str) -> str:
        """What the cell that starts so shows, as text."""
        (cell,) = [cell for cell in self.cells if cell.source.startswith(starts)]
        return "\n".join(
            output.data.get("text/plain", "") for output in cell.outputs if "data" in output
        )

    def kinds(self) -> set[str]:
        """The mime types of all that is shown."""
        outputs = (output for cell in self.cells for output in cell.get("outputs", ()))
        return {kind for output in outputs for kind in output.get("data", ())}


def run(notebook: Path, folder: Path) -> Run:
    """Run it in `folder`. Errors do not end it, nor do they in JupyterLab where a cell waits for
    an exercise; `Run.errors` has them."""
    content = nbformat.read(notebook, nbformat.NO_CONVERT)
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(
        content, timeout=180, allow_errors=True, kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    ).execute()  # fmt: skip
    return Run(content.cells)
