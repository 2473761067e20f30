"""Recordings that come with minillm: one per scene, of the pocket model."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def bundled(name: str) -> Path:
    """The trace file called `name`, e.g. "long-prompt-vllm". FileNotFoundError lists those there
    are."""
    path = _HERE / f"{name}.jsonl"
    if name not in names():
        raise FileNotFoundError(f"no recording {name!r}. There are: {', '.join(names())}.")
    return path


def names() -> list[str]:
    """What there is, sorted; named SCENE-SCHEDULER."""
    return sorted(path.stem for path in _HERE.glob("*.jsonl"))
