"""The pocket model: a small language model that travels with minillm.

`pocket_path()` is the folder that `transformers` (and minillm) loads; `minillm.pocket.prompts`
makes seeded prompts that the model knows how to answer. Importing either loads no torch.
"""

from __future__ import annotations

from pathlib import Path


def pocket_path() -> Path:
    """The folder with the model's weights, configuration, tokenizer and chat template."""
    return Path(__file__).parent / "model"


__all__ = ["pocket_path"]
