"""Code as it was handed in, which becomes a function where it is tried and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minillm.lesson.exercise import Wrong

FILENAME = "<submission>"


@dataclass(frozen=True)
class Submission:
    """`code` defines the function `name`. Calling it is calling that function."""

    name: str
    code: str

    def function(self) -> Any:
        """Raises Wrong where the code does not define it, and whatever running the code raises."""
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(self.code, FILENAME, "exec"), names)
        if not callable(names.get(self.name)):
            raise Wrong("lessons.not_defined", name=self.name)
        return names[self.name]
