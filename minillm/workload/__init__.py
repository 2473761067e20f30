"""Workloads: requests with their arrival times, made to order, read from traces, or curated."""

from minillm.workload.driver import WorkloadDriver
from minillm.workload.readers import (
    TraceFileError,
    read_azure,
    read_burstgpt,
    read_mooncake,
    read_sharegpt,
    read_splitwise,
    read_vidur,
)
from minillm.workload.spec import RequestSpec
from minillm.workload.synthetic import synthetic

__all__ = [
    "RequestSpec",
    "TraceFileError",
    "WorkloadDriver",
    "read_azure",
    "read_burstgpt",
    "read_mooncake",
    "read_sharegpt",
    "read_splitwise",
    "read_vidur",
    "synthetic",
]
