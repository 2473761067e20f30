"""The kernels against the machine's own limits and against others, in one run.

    from minillm.bench.kernels import bench_kernels

A decode is as fast as memory when it reads keys and values as fast as a copy moves bytes; a
prefill is compared with torch's attention over dense keys. Loads torch.
"""

from minillm.bench.kernels.bench import Result, bench_kernels, num_rows
from minillm.bench.kernels.goals import Verdict
from minillm.bench.kernels.measure import Row

__all__ = ["Result", "Row", "Verdict", "bench_kernels", "num_rows"]
