"""Workloads: requests with their arrival times, and the scenes, which are curated ones."""

from minillm.workload.driver import WorkloadDriver
from minillm.workload.spec import RequestSpec

__all__ = ["RequestSpec", "WorkloadDriver"]
