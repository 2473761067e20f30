"""Loading a model for a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minillm.cli.shell import busy

if TYPE_CHECKING:
    from minillm.execution.loaded_model import LoadedModel


def load(model: str, device: str, threads: int | None) -> LoadedModel:
    """Import torch, set its threads, load the model; says so meanwhile. Raises ModelError."""
    with busy(f"Loading {model}"):
        from transformers.utils.logging import disable_progress_bar

        from minillm.execution.loader import load_model
        from minillm.threads import set_threads

        disable_progress_bar()  # of copying weights into place: the spinner says enough
        set_threads(threads)
        return load_model(model, device=device)
