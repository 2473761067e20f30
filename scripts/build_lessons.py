"""Write the lessons' notebooks from their sources: `python scripts/build_lessons.py [NAME …]`."""

from __future__ import annotations

import sys
from pathlib import Path

from minillm.lesson.authoring import Source, built

LESSONS = Path(__file__).parents[1] / "lessons"

for path in sorted((LESSONS / "source").glob("*.py")):
    if sys.argv[1:] and path.stem not in sys.argv[1:]:
        continue
    for name, content in built(Source.read(path)):
        notebook = LESSONS / name
        notebook.parent.mkdir(parents=True, exist_ok=True)
        notebook.write_text(content, encoding="utf-8")
        print(notebook.relative_to(LESSONS.parent))
