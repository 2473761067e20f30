"""What comes of a benchmark: a dict with the keys of `vllm bench serve`, its printed block, its
file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from minillm.bench.settings import Goodput, Help, parse_limits
from minillm.config import ConfigError, closest
from minillm.run_summary import RunSummary
from minillm.trace.metrics import PERCENTILES

METRICS = {
    "ttft": ("TTFT", "Time to First Token"),
    "tpot": ("TPOT", "Time per Output Token (excl. 1st token)"),
    "itl": ("ITL", "Inter-token Latency"),
    "e2el": ("E2EL", "End-to-end Latency"),
    "queue": ("Queue", "Arrival to First Admission"),
}
_WIDTH = 50


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """Which figures, by what name, and where to."""

    goodput: Goodput = ()
    percentile_metrics: Annotated[str, Help(f"Of {', '.join(METRICS)}, comma-separated.")] = (
        "ttft,tpot,itl"
    )
    metric_percentiles: Annotated[
        str, Help(f"Of {', '.join(map(str, PERCENTILES))}, comma-separated.")
    ] = "99"
    label: Annotated[str | None, Help("A name for the results that are saved.")] = None
    save_result: Annotated[bool, Help("Save the results as JSON.")] = False
    result_dir: Annotated[Path | None, Help("The folder to save them in; by default this one.")] = (
        None
    )
    result_filename: Annotated[
        str | None, Help("By default {label}-{request_rate}qps-{model}-{date}.json.")
    ] = None

    def __post_init__(self) -> None:
        """Raises ConfigError, before anything runs, for names and percentiles that are not measured
        and for what is said of a file that is not to be written."""
        for name in ("label", "result_dir", "result_filename"):
            if getattr(self, name) is not None and not self.save_result:
                raise ConfigError(
                    f"{name} is for results that are saved: add save_result, or leave it out."
                )
        for name in self.metrics:
            if name not in METRICS:
                raise ConfigError(
                    f"unknown metric {name!r} in percentile_metrics.{closest(name, METRICS)} "
                    f"Known: {', '.join(METRICS)}."
                )
        known = [str(percent) for percent in PERCENTILES]
        for name in _listed(self.metric_percentiles):
            if name not in known:
                raise ConfigError(
                    f"metric_percentiles {name!r} is not measured. Measured: {', '.join(known)}."
                )
        parse_limits(self.goodput)

    @property
    def limits(self) -> dict[str, float]:
        """The goodput limits: name and ms."""
        return parse_limits(self.goodput)

    @property
    def metrics(self) -> list[str]:
        return _listed(self.percentile_metrics)

    @property
    def percentiles(self) -> list[int]:
        return [int(name) for name in _listed(self.metric_percentiles)]


def result(
    run: RunSummary,
    settings: Mapping[str, Any],
    *,
    goodput: Mapping[str, float] | None = None,
    metrics: Sequence[str] = ("ttft", "tpot", "itl"),
    percentiles: Sequence[int] = (99,),
) -> dict[str, Any]:
    """`settings` followed by the run's figures, as JSON knows them: None for what was not
    measured, "inf" for an infinite rate. The keys are vLLM's; its max_output_tokens_per_s and
    rtfx (of audio) are left out, and what only an engine can tell of itself is added."""
    figures = run.metrics(goodput)
    wanted = [
        f"{statistic}_{name}_ms"
        for name in metrics
        for statistic in ("mean", "median", "std", *(f"p{percent}" for percent in percentiles))
    ]
    every = {f"{s}_{name}_ms" for name in METRICS for s in _statistics()}
    kept = [name for name in figures if name not in every] + wanted
    return plain({**settings, **{name: figures[name] for name in kept}})


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` as JSON knows them."""

    def known(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        return str(value) if isinstance(value, Path) else value

    return {name: known(value) for name, value in values.items()}


def _statistics() -> tuple[str, ...]:
    return ("mean", "median", "std", *(f"p{percent}" for percent in PERCENTILES))


def block(result: Mapping[str, Any]) -> str:
    """A result in the layout that `vllm bench serve` prints."""
    rate, rows = result.get("request_rate"), []
    rows += [("Successful requests:", result["completed"]), ("Failed requests:", result["failed"])]
    if result.get("max_concurrency") is not None:
        rows.append(("Maximum request concurrency:", result["max_concurrency"]))
    if isinstance(rate, (int, float)):
        rows.append(("Request rate configured (RPS):", float(rate)))
    rows += [
        ("Benchmark duration (s):", result["duration"]),
        ("Total input tokens:", result["total_input_tokens"]),
        ("Total generated tokens:", result["total_output_tokens"]),
        ("Request throughput (req/s):", result["request_throughput"]),
    ]
    if result["request_goodput"] is not None:
        rows.append(("Request goodput (req/s):", result["request_goodput"]))
    rows += [
        ("Output token throughput (tok/s):", result["output_throughput"]),
        ("Peak concurrent requests:", float(result["max_concurrent_requests"])),
        ("Total token throughput (tok/s):", result["total_token_throughput"]),
    ]
    lines = [" Serving Benchmark Result ".center(_WIDTH, "="), *_lines(rows)]
    for name, (short, title) in METRICS.items():
        found = [s for s in _statistics() if s != "std" and f"{s}_{name}_ms" in result]
        if found:
            lines.append(title.center(_WIDTH, "-"))
            words = [(f"{s.capitalize()} {short} (ms):", result[f"{s}_{name}_ms"]) for s in found]
            lines += _lines(words)
    lines.append("Engine".center(_WIDTH, "-"))
    lines += _lines(
        [
            ("Preemptions:", result["num_preemptions"]),
            ("Peak KV cache usage (%):", 100 * result["peak_kv_cache_usage"]),
            ("Prefix cache hit rate (%):", 100 * result["prefix_cache_hit_rate"]),
        ]
    )
    return "\n".join([*lines, "=" * _WIDTH])


def _lines(rows: Sequence[tuple[str, Any]]) -> list[str]:
    return [f"{name:<40} {_number(value):<10}".rstrip() for name, value in rows]


def _number(value: float | None) -> str:
    if value is None:
        return "nan"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def save(result: Mapping[str, Any], reporting: Reporting, date: datetime) -> Path:
    """Write `result` as JSON, with its date, where `reporting` says. Returns the path. Raises
    ConfigError where that cannot be written."""
    stamp = date.strftime("%Y%m%d-%H%M%S")
    rate, many = result["request_rate"], result.get("max_concurrency")
    parts = [
        reporting.label or "minillm",
        f"{rate}qps" if rate is not None else "own-times",
        *([f"concurrency{many}"] if many is not None else []),
        str(result["model_id"]).rstrip("/").rsplit("/", 1)[-1],
        stamp,
    ]
    path = (reporting.result_dir or Path()) / (
        reporting.result_filename or "-".join(parts) + ".json"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"date": stamp, **result}, allow_nan=False) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def _listed(text: str) -> list[str]:
    """The parts of a comma-separated list."""
    return [part.strip() for part in text.split(",")]
