"""Where a model is: bundled, a local folder, or the hub; and what to say when it is nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from huggingface_hub.utils import get_session
from safetensors import SafetensorError

from minillm.execution.loaded_model import ModelError
from minillm.pocket import pocket_path

HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
HUB_PATIENCE = 5.0  # seconds
UNREADABLE = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)


@dataclass(frozen=True, slots=True)
class Source:
    """A model that was asked for as `name`: in `folder`, or on the hub where that is None."""

    name: str
    folder: Path | None
    cached_only: bool = False  # the hub cannot be reached

    def read(self, auto: Any, **kwargs: Any) -> Any:
        """`auto.from_pretrained` from here; ModelError when that fails."""
        where = self.name if self.folder is None else str(self.folder)
        try:
            return auto.from_pretrained(where, local_files_only=self.cached_only, **kwargs)
        except UNREADABLE as error:
            lines = str(error).strip().splitlines() or [repr(error)]
            if self.folder is not None:
                raise ModelError(f"the model folder {where} cannot be read: {lines[0]}") from error
            hub = f"the hub cannot be reached ({constants.ENDPOINT}), its local cache was searched"
            raise ModelError(
                f"cannot load {self.name!r}. Tried: a folder {Path(self.name).absolute()} (there "
                f"is none); {hub if self.cached_only else 'the hub'}: {lines[0]} Check the name "
                "and the network, or give a local folder, or 'pocket', which needs neither."
            ) from error


def find(model: str) -> Source:
    """Raises ModelError when `model` is neither "pocket", a model folder, nor like a hub id."""
    if model == "pocket":
        return Source(model, pocket_path())
    path = Path(model).expanduser()
    if model and path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                f"{path.absolute()} has no config.json, so it is not a model folder. Expected are "
                "config.json and *.safetensors, as `save_pretrained` writes them."
            )
        return Source(model, path)
    if path.is_file():
        raise ModelError(f"{path.absolute()} is a file; give the folder that holds config.json.")
    if path.is_absolute() or model.startswith((".", "~")) or not HUB_ID.fullmatch(model):
        raise ModelError(
            f"no model folder at {path.absolute()}. Give 'pocket', an existing folder, or a hub "
            "id like 'Qwen/Qwen3-0.6B'."
        )
    return Source(model, None, cached_only=not _hub_answers())


def _hub_answers() -> bool:
    """One quick question: without it, each missing file is asked for again and again."""
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_PATIENCE)
    except Exception:  # whatever the client raises: refused, no such host, time-out, proxy
        return False
    return True
