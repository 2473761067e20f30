"""Settings of a benchmark, each declared once: its name, default and meaning serve the command line
(`minillm bench …`), Python and the results alike. Names and meanings are `vllm bench serve`'s.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from minillm.config import ConfigError, closest
from minillm.run_summary import RunSummary
from minillm.simulation import simulate
from minillm.trace.metrics import GOODPUT
from minillm.workload.spec import RequestSpec


@dataclass(frozen=True, slots=True)
class Help:
    """What a setting means, and the least it may be; beside its type."""

    text: str
    min: int | None = None


Seed = Annotated[int, Help("The same seed gives the same requests and draws.", min=0)]
Goodput = Annotated[
    tuple[str, ...], Help("Limits a request must meet, e.g. ttft:500 tpot:50 (ms).")
]
MaxConcurrency = Annotated[
    int | None, Help("Send a request only when fewer are being served.", min=1)
]
KVCacheDtype = Annotated[str, Help("auto, the model's, or fp8: half of fp16, and not exact.")]


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What bounds a step, and whom it must send away. None leaves the choice to the engine."""

    block_size: Annotated[int | None, Help("Tokens per KV block.", min=1)] = None
    num_blocks: Annotated[int | None, Help("KV blocks in the pool.", min=1)] = None
    max_num_batched_tokens: Annotated[int | None, Help("Token budget of a step.", min=1)] = None
    max_num_seqs: Annotated[int | None, Help("Sequences in a batch at most.", min=1)] = None
    preemption: Annotated[str, Help("Of one that must give way: recompute or swap.")] = "recompute"


@dataclass(frozen=True, kw_only=True)
class EngineSettings(StepSettings):
    """An engine's settings, real or simulated. None leaves the choice to the engine."""

    kv_cache: Annotated[str, Help("paged, token or contiguous.")] = "paged"
    reserve: Annotated[str | None, Help("For contiguous memory: max, pow2 or oracle.")] = None
    num_cpu_blocks: Annotated[int | None, Help("KV blocks to swap to.", min=1)] = None
    enable_prefix_caching: Annotated[bool | None, Help("Reuse KV blocks by content.")] = None
    max_model_len: Annotated[int | None, Help("Context, tokens.", min=1)] = None
    kv_cache_dtype: KVCacheDtype = "auto"

    def arguments(self) -> dict[str, Any]:
        """All that is set, for `simulate` or `LLM`."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class SystemSettings(EngineSettings):
    """A simulated system: an engine, and what it runs on."""

    model: Annotated[
        str, Help("A published model, pocket, a folder with config.json, a hub id.")
    ] = "llama-2-7b"
    hardware: Annotated[str, Help("A device's name, e.g. h100-sxm.")] = "a100-80gb"
    tensor_parallel: Annotated[int, Help("Devices to split it over.", min=1)] = 1
    max_concurrency: MaxConcurrency = None

    def identity(self) -> dict[str, Any]:
        """Everything a run depends on; of a model in a folder its configuration, not its name."""
        config = Path(self.model) / "config.json"
        if not config.is_file():
            return asdict(self)
        digest = hashlib.sha256(config.read_bytes()).hexdigest()
        return asdict(self) | {"model": f"sha256 {digest}"}

    def run(
        self, requests: Iterable[RequestSpec], scheduler: str, *, seed: int = 0, record: Any = False
    ) -> RunSummary:
        """Serve `requests` in simulated time, without keeping steps in memory."""
        return simulate(requests, scheduler=scheduler, seed=seed, record=record, **self.arguments())


def check_rate(rate: float) -> float:
    """A request rate: requests per second, above 0; infinite for all at once."""
    if not rate > 0:
        raise ConfigError(
            f"a request rate must be above 0 requests/s (inf: all at once), got {rate}."
        )
    return rate


def parse_limits(
    pairs: Iterable[str], known: Iterable[str] = GOODPUT, what: str = "goodput limit"
) -> dict[str, float]:
    """`["ttft:500", "tpot:50"]` as names and milliseconds. Raises ConfigError."""
    limits, known = {}, list(known)
    for pair in pairs:
        name, _, value = pair.partition(":")
        try:
            limits[name] = float(value)
        except ValueError:
            raise ConfigError(
                f"a {what} is NAME:MILLISECONDS, e.g. {known[0]}:200, not {pair!r}."
            ) from None
        if name not in known:
            raise ConfigError(
                f"unknown {what} {name!r}.{closest(name, known)} Known: {', '.join(known)}."
            )
        if math.isnan(limits[name]) or limits[name] < 0:
            raise ConfigError(f"the {what} for {name} must be ≥ 0 ms, got {limits[name]:g}.")
    return limits


def told(limits: Mapping[str, float]) -> str:
    """Limits for people: "ttft ≤ 500 ms, tpot ≤ 50 ms"."""
    return ", ".join(f"{name} ≤ {limit:g} ms" for name, limit in limits.items())
