"""Time that passed, and processor time that was used."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seconds:
    """`wall`: on the clock on the wall. `cpu`: used by all threads of this process, which other
    work on the machine does not lengthen."""

    wall: float
    cpu: float


class Stopwatch:
    """Times a `with` block; `seconds` is there afterwards. On a CUDA device the block ends when the
    device has done its work."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device
        self.seconds = Seconds(0.0, 0.0)

    def __enter__(self) -> Stopwatch:
        self._wait()
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()
        wall, cpu = self._began
        self.seconds = Seconds(time.perf_counter() - wall, time.process_time() - cpu)

    def _wait(self) -> None:
        import torch

        if torch.device(self.device).type == "cuda":
            torch.cuda.synchronize(self.device)
