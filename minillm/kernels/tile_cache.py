"""Tuned tile sizes on disk: one small JSON file per key, in the user's cache folder.

A cache is never a reason to fail: what cannot be read counts as absent, what cannot be written is
lost, each with a warning. Files appear whole or not at all, so processes may share the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def cache_folder() -> Path:
    """Where this platform keeps what may be deleted: $XDG_CACHE_HOME or ~/.cache on Linux,
    ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows; and in it `minillm/tiles`."""
    if sys.platform == "darwin":
        base = Path("~/Library/Caches")
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    else:
        named = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        base = named if named.is_absolute() else Path("~/.cache")  # relative ones are ignored
    return Path(os.path.expanduser(base)) / "minillm" / "tiles"


def read(key: Mapping[str, Any], folder: Path) -> Record | None:
    """What `write` put under `key`; None where there is nothing, or nothing legible."""
    path = _path(key, folder)
    entry = _entry(path)
    if entry is None or entry["key"] != dict(key):
        return None
    return entry["record"]


def write(key: Mapping[str, Any], record: Record, folder: Path) -> Path | None:
    """Keep `record` under `key`, both of what JSON knows. The path; None where it cannot be."""
    path = _path(key, folder)
    text = json.dumps({"key": dict(key), "record": record}, indent=1) + "\n"
    unfinished = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=folder, suffix=".tmp", delete=False
        ) as file:
            unfinished = Path(file.name)
            file.write(text)
        unfinished.replace(path)
    except OSError as error:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        warnings.warn(f"tuned tiles are not kept: cannot write {path}: {error}", stacklevel=2)
        return None
    return path


def entries(folder: Path) -> Iterator[tuple[Record, Record]]:
    """Every legible (key, record), ordered by file name."""
    for path in sorted(folder.glob("*.json")):
        if (entry := _entry(path)) is not None:
            yield entry["key"], entry["record"]


def _path(key: Mapping[str, Any], folder: Path) -> Path:
    text = json.dumps(dict(key), sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def _entry(path: Path) -> Record | None:
    try:
        entry = json.loads(path.read_text("utf-8"))
        if isinstance(entry["key"], dict) and isinstance(entry["record"], dict):
            return entry
        problem = "its key and record must be objects"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:  # ValueError: JSON or UTF-8
        problem = f"{type(error).__name__}: {error}"
    warnings.warn(f"tuned tiles ignored: {path} is illegible ({problem}); delete it", stacklevel=3)
    return None
