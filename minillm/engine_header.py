"""The trace header of an engine, real or simulated."""

from __future__ import annotations

from typing import Any

from minillm.engine import Engine
from minillm.trace.records import Header
from minillm.version import __version__


def engine_header(engine: Engine, **what_runs: Any) -> Header:
    """A `Header` with the settings of `engine`; `what_runs` are the fields that no engine knows:
    model, device, dtype, kv_bytes_per_token, tensor_parallel, scene."""
    config = engine.config
    return Header(
        version=__version__,
        scheduler=engine.scheduler.name,
        kv_cache=config.kv_cache,
        reserve=config.reserve,
        num_cpu_blocks=config.num_cpu_blocks,
        block_size=config.block_size,
        num_blocks=config.num_blocks,
        max_num_seqs=config.max_num_seqs,
        max_num_batched_tokens=config.max_num_batched_tokens,
        max_model_len=config.max_model_len,
        prefix_caching=config.enable_prefix_caching,
        seed=config.seed,
        **what_runs,
    )
