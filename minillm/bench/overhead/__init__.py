"""What the engine's own work costs beside the model's: recording, deciding, preparing batches.
Loads torch."""

from minillm.bench.overhead.bench import Overhead, measure_overhead

__all__ = ["Overhead", "measure_overhead"]
