"""The machine that a lesson's figures come from, in a few words."""

from __future__ import annotations

import torch


def machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU × {torch.get_num_threads()}"
