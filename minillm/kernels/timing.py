"""How long a piece of work takes on a device: warmed up, the L2 cache cold, median and spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

WARMUPS = 3
FLUSH_BYTES = 256 * 2**20  # several times the L2 cache of any GPU
MOST_FLUSHES = 40


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call: the median, and the 10th and 90th percentiles."""

    median: float
    low: float
    high: float
    repeats: int


def timing(seconds: list[float]) -> Timing:
    """Of at least one measurement."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    low, high = ordered[round(0.1 * last)], ordered[round(0.9 * last)]
    return Timing(statistics.median(ordered), low, high, len(ordered))


def time_run(
    run: Callable[[], object], device: torch.device, *, repeats: int = 30, budget: float = 1.0
) -> Timing:
    """Time `run`, at most `repeats` times and, once there are three, for `budget` seconds.

    On CUDA between events. Before each repeat a large buffer is overwritten, which clears the L2
    cache and keeps the device busy until the host has launched all of `run`: what is measured is
    the work, not the launching. On a CPU in CPU time of this thread, so that what else the machine
    does hardly counts; torch must be told to compute in one.
    """
    for _ in range(WARMUPS):
        run()
    if device.type == "cuda":
        return _time_cuda(run, device, repeats, budget)
    began, seconds = time.perf_counter(), []
    while _goes_on(len(seconds), repeats, began, budget):
        start = time.thread_time()
        run()
        seconds.append(time.thread_time() - start)
    return timing(seconds)


def _time_cuda(
    run: Callable[[], object], device: torch.device, repeats: int, budget: float
) -> Timing:
    flush = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device=device)
    with torch.cuda.device(device):
        launching = _host_seconds(run, device)
        flushing = _seconds(flush.zero_, device)
        flushes = min(1 + round(2 * launching / flushing), MOST_FLUSHES)
        began, seconds = time.perf_counter(), []
        while _goes_on(len(seconds), repeats, began, budget):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            for _ in range(flushes):
                flush.zero_()
            start.record()
            run()
            end.record()
            end.synchronize()
            seconds.append(start.elapsed_time(end) / 1e3)
    return timing(seconds)


def _goes_on(done: int, repeats: int, began: float, budget: float) -> bool:
    return done < repeats and (done < 3 or time.perf_counter() - began < budget)


def _host_seconds(run: Callable[[], object], device: torch.device) -> float:
    """What launching `run` takes the host."""
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    torch.cuda.synchronize(device)
    return seconds


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    run()
    torch.cuda.synchronize(device)
    return time.perf_counter() - began
