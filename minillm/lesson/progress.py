"""What a student has done, in one file of theirs: predictions, checks and opened hints."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

FILE = "lessons.json"


def progress_path() -> Path:
    """`lessons.json` in the user's data folder, or the file that $MINILLM_PROGRESS names."""
    named = os.environ.get("MINILLM_PROGRESS")
    return Path(named) if named else user_data_path("minillm", appauthor=False) / FILE


@dataclass(frozen=True)
class Progress:
    """The file at `path`. Each change is on disk when the call returns; several notebooks may be
    open at once, so that it is read anew each time. Of one lesson it has

        predictions  {name: {"unit", "guess"?, "measured"?}}
        checks       {exercise: {"passed", "attempts"}}
        hints        {exercise: how many are open}
    """

    path: Path

    def lessons(self) -> dict[str, dict[str, Any]]:
        """What is known of every lesson begun, by its name. A file that cannot be read counts as
        none."""
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}

    def of(self, lesson: str, part: str) -> dict[str, Any]:
        return self.lessons().get(lesson, {}).get(part, {})

    def keep(self, lesson: str, part: str, name: str, value: Any) -> None:
        """Raises OSError where the file cannot be written."""
        kept = self.lessons()
        kept.setdefault(lesson, {}).setdefault(part, {})[name] = value
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        unfinished.write_text(json.dumps(kept, ensure_ascii=False, indent=1), encoding="utf-8")
        unfinished.replace(self.path)
