"""Numbers on their way to the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def to_device(values: np.ndarray | Sequence[float], device: torch.device) -> torch.Tensor:
    """`values` as a tensor on `device`: whole numbers as int64, others as float64.

    On CUDA the copy starts from pinned memory and is not waited for. Any other copy waits until
    the device has done everything that was launched before, which would end all overlap.
    """
    tensor = torch.from_numpy(np.asarray(values))
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
