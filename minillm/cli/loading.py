"""Loading a model for a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minillm.cli.shell import busy

if TYPE_CHECKING:
    from minillm.execution.loaded_model import LoadedModel


def load(model: str, device: str, threads: int | None, tensor_parallel: int = 1) -> LoadedModel:
    """Import torch, set its threads, load the model; says so meanwhile. Raises ModelError.

    The default number of threads is shared by the processes of a tensor-parallel model."""
    with busy(f"Loading {model}"):
        from transformers.utils.logging import disable_progress_bar

        from minillm.execution.loader import load_model
        from minillm.threads import set_threads

        disable_progress_bar()  # of copying weights into place: the spinner says enough
        chosen = set_threads(threads)
        if threads is None and tensor_parallel > 1:
            set_threads(max(1, chosen // tensor_parallel))
        return load_model(model, device=device, tensor_parallel=tensor_parallel)
