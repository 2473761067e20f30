"""Joining a loaded model, a scheduler and a configuration into an engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from minillm.clock import WallClock
from minillm.config import ConfigError, EngineConfig
from minillm.engine import Engine
from minillm.engine_header import engine_header
from minillm.execution.compiled import CompiledForward
from minillm.execution.cuda_graphs import record_graphs
from minillm.execution.kv_tensors import blocks_that_fit, bytes_per_block, kv_bytes_per_token
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.tensor_parallel.executor import (
    TensorParallelExecutor,
    blocks_that_fit_all,
)
from minillm.execution.torch_executor import TorchExecutor
from minillm.overlapped import OverlappedEngine
from minillm.scheduling import Scheduler, make_scheduler
from minillm.trace.records import Header


@dataclass(frozen=True, slots=True)
class SceneLabel:
    """What a recording says of the scene it shows."""

    name: str = ""
    title: str = ""
    question: str = ""


def build_engine(
    loaded: LoadedModel,
    scheduler: str | Scheduler = "sarathi",
    *,
    attention_backend: str = "auto",
    gpu_memory_utilization: float = 0.9,
    async_scheduling: bool | None = False,
    enforce_eager: bool = False,
    torch_compile: bool = False,
    **settings: Any,
) -> Engine:
    """A real engine on `loaded`. `settings` are those of `EngineConfig`; an unknown one is an
    error. The KV pool is sized from free memory unless `num_blocks` says otherwise.
    `async_scheduling`: decide a step while the one before is computed (`minillm.overlapped`); None
    does so on a CUDA device. `enforce_eager`: no CUDA graphs. `torch_compile`: fuse what lies
    between the attentions, for a minute at the start. A tensor-parallel model has none of these.
    """
    for name, wanted in (("async_scheduling", async_scheduling), ("torch_compile", torch_compile)):
        if wanted and loaded.group is not None:
            raise ConfigError(
                f"{name}=True needs a model in one process: leave it out with tensor_parallel."
            )
    policy = make_scheduler(scheduler)
    config = EngineConfig.from_kwargs(**settings)
    if not 0 < gpu_memory_utilization <= 1:
        raise ConfigError(
            f"gpu_memory_utilization must be in (0, 1], got {gpu_memory_utilization!r}."
        )
    resolve = partial(
        config.resolve,
        chunked=policy.chunked,
        preempts=policy.preempts,
        model_max_len=loaded.max_model_len,
    )
    resolved = resolve()
    if config.num_blocks is None:
        measure = blocks_that_fit if loaded.group is None else blocks_that_fit_all
        fit = measure(
            loaded,
            block_size=resolved.block_size,
            gpu_memory_utilization=gpu_memory_utilization,
            max_num_batched_tokens=resolved.max_num_batched_tokens,
            kv_cache_dtype=resolved.kv_cache_dtype,
        )
        if resolved.num_cpu_blocks and loaded.device.type == "cpu":
            fit //= 2  # the blocks to swap to take the same memory again
        resolved = resolve(blocks_that_fit=fit)
    try:
        make = TorchExecutor if loaded.group is None else TensorParallelExecutor
        executor = make(
            loaded,
            num_blocks=resolved.num_blocks,
            block_size=resolved.block_size,
            num_cpu_blocks=resolved.num_cpu_blocks,
            seed=resolved.seed,
            attention_backend=attention_backend,
            kv_cache_dtype=resolved.kv_cache_dtype,
        )
    except (MemoryError, RuntimeError) as error:  # torch says RuntimeError when it has no memory
        blocks = resolved.num_blocks + resolved.num_cpu_blocks
        size = blocks * bytes_per_block(loaded, resolved.block_size, resolved.kv_cache_dtype)
        raise ConfigError.of("refusals.pool_too_large", blocks=blocks, bytes=size) from error
    if isinstance(executor, TorchExecutor) and torch_compile:
        executor.forward = CompiledForward(loaded.model, loaded.device)
    if isinstance(executor, TorchExecutor) and not enforce_eager:
        executor.graphs = record_graphs(
            executor.forward,
            executor.kv,
            max_num_seqs=resolved.max_num_seqs,
            max_model_len=resolved.max_model_len,
            backend=executor.attention_backend,
        )
    if async_scheduling is None:
        async_scheduling = loaded.group is None and loaded.device.type == "cuda"
    loop = OverlappedEngine if async_scheduling else Engine
    engine = loop(
        executor,
        policy,
        resolved,
        clock=WallClock(),
        tokenizer=loaded.tokenizer,
        eos_token_ids=sorted(loaded.eos_token_ids),
        vocab_size=loaded.vocab_size,
    )
    engine.hooks.on_demand("attention", partial(setattr, executor, "on_attention"))
    return engine


def header_of(engine: Engine, loaded: LoadedModel, scene: SceneLabel | None = None) -> Header:
    """The trace header for runs of `engine`."""
    scene = scene or SceneLabel()
    devices = f"{loaded.tensor_parallel} × " if loaded.tensor_parallel > 1 else ""
    return engine_header(
        engine,
        model=loaded.name,
        device=f"{devices}{loaded.device}",
        dtype=str(loaded.dtype).removeprefix("torch."),
        kv_bytes_per_token=kv_bytes_per_token(loaded, engine.config.kv_cache_dtype)
        * loaded.tensor_parallel,
        tensor_parallel=loaded.tensor_parallel,
        scene=scene.name,
        title=scene.title,
        question=scene.question,
    )
