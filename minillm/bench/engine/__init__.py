"""The whole engine against transformers' own serving, in one run. Loads torch.

from minillm.bench.engine import bench_engine
"""

from minillm.bench.engine.bench import Result, Row, Verdict, bench_engine, num_runs

__all__ = ["Result", "Row", "Verdict", "bench_engine", "num_runs"]
