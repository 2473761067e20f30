"""How many CPU threads a model should compute with."""

from __future__ import annotations

import math
import os
from pathlib import Path

import psutil

MOST_THREADS = 8
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def serving_threads(most: int = MOST_THREADS) -> int:
    """Threads to serve with: half the physical cores that this process may use, at most `most`.

    Half, because the engine shares the machine with the browser that shows it, and torch's threads
    wait for the slowest of them: on two busy cores a decode step of the pocket model took 2.3 ms
    with one thread and over 90 ms with two. Affinity and a container's CPU quota count, so that a
    share of a large machine is not oversubscribed.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1 thread, got {most}")
    cores = [psutil.cpu_count(logical=False) or os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        cores.append(len(os.sched_getaffinity(0)))
    if (quota := _cpu_quota()) is not None:
        cores.append(quota)
    return max(1, min(min(cores) // 2, most))


def set_threads(threads: int | None = None) -> int:
    """Make torch compute with `threads`, or with what suits this machine; returns the number.

    The limit that torch started with (OMP_NUM_THREADS) is never exceeded.
    """
    import torch

    chosen = threads or min(serving_threads(), torch.get_num_threads())
    torch.set_num_threads(chosen)
    return chosen


def _cpu_quota() -> int | None:
    """Whole CPUs that the container may use, None where there is no limit."""
    try:
        quota, period = _QUOTA.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, math.floor(int(quota) / int(period)))
