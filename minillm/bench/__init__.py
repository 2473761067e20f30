"""Benchmarks: serving a workload, the largest rate that meets limits, sweeps.

    from minillm.bench import Slo, SystemSettings, WorkloadSettings, capacity

Neither this nor anything simulated needs torch; only `serve` takes a real model.
"""

from minillm.bench.datasets import WorkloadSettings
from minillm.bench.result import Reporting, block, plain, result, save
from minillm.bench.search import Capacity, Probe, Slo, capacity
from minillm.bench.serving import serve
from minillm.bench.settings import (
    EngineSettings,
    Goodput,
    KVCacheDtype,
    MaxConcurrency,
    Seed,
    StepSettings,
    SystemSettings,
    parse_limits,
)
from minillm.bench.sweeping import Cell, Failure, Sweep
from minillm.bench.table import write_parquet

__all__ = [
    "Capacity",
    "Cell",
    "EngineSettings",
    "Failure",
    "Goodput",
    "KVCacheDtype",
    "MaxConcurrency",
    "Probe",
    "Reporting",
    "Seed",
    "Slo",
    "StepSettings",
    "Sweep",
    "SystemSettings",
    "WorkloadSettings",
    "block",
    "capacity",
    "parse_limits",
    "plain",
    "result",
    "save",
    "serve",
    "write_parquet",
]
