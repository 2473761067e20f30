"""EngineConfig: everything an engine needs to know, checked once, at the door.

After `EngineConfig.resolve` no value is None and nothing is checked again. The scheduler and the
executor see plain numbers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from minillm.messages.refusal import Refusal

CHUNKING_BUDGET = 512  # Sarathi-Serve's strict budget, tokens per step
DEFAULT_MAX_NUM_SEQS = 128
KV_CACHES = ("paged", "token", "contiguous")
RESERVES = ("max", "pow2", "oracle")
PREEMPTIONS = ("recompute", "swap")
KV_CACHE_DTYPES = ("auto", "fp8", "fp8_e4m3")  # the last two are one


class ConfigError(Refusal):
    """An impossible or unknown setting; the message says what was given, the limit, a remedy."""


def closest(name: str, known: Iterable[str]) -> str:
    """' Did you mean X?' or '' — for error messages."""
    match = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What the user may set. None means: choose for me (see `resolve`). Lengths are tokens.

    `reserve` is for kv_cache="contiguous": what an answer is given room for when it is admitted.
    `preemption="swap"` saves what a preempted sequence has computed in `num_cpu_blocks` of CPU
    memory (None: as many as num_blocks), and computes it again only when these are full. A policy
    that never preempts needs none of it and gets none.
    """

    block_size: int | None = None
    num_blocks: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    max_model_len: int | None = None
    enable_prefix_caching: bool | None = None
    kv_cache: str = "paged"
    reserve: str | None = None
    preemption: str = "recompute"
    num_cpu_blocks: int | None = None
    kv_cache_dtype: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("block_size", "num_blocks", "max_num_seqs", "max_num_batched_tokens"):
            self._positive(name, 1)
        self._positive("max_model_len", 1)
        self._positive("num_cpu_blocks", 1)
        self._one_of("kv_cache", KV_CACHES)
        self._one_of("preemption", PREEMPTIONS)
        self._one_of("kv_cache_dtype", KV_CACHE_DTYPES)
        if self.reserve is not None:
            self._one_of("reserve", RESERVES)
        self._check_pairs()
        if self.enable_prefix_caching not in (None, True, False):
            raise ConfigError(
                f"enable_prefix_caching must be True, False or None, got "
                f"{self.enable_prefix_caching!r}."
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ConfigError(f"seed must be a whole number, got {self.seed!r}.")

    def _check_pairs(self) -> None:
        """Settings that make no sense together."""
        if self.kv_cache == "token" and self.block_size not in (None, 1):
            raise ConfigError(
                f"kv_cache='token' has blocks of one token; block_size {self.block_size} is for "
                "'paged' and 'contiguous'."
            )
        if self.kv_cache == "contiguous" and self.enable_prefix_caching:
            raise ConfigError(
                "kv_cache='contiguous' cannot share blocks between requests, so "
                "enable_prefix_caching=True is impossible with it. Use 'paged' or 'token'."
            )
        if self.reserve is not None and self.kv_cache != "contiguous":
            raise ConfigError(
                f"reserve={self.reserve!r} is for kv_cache='contiguous'; {self.kv_cache!r} takes "
                "memory as a sequence grows."
            )
        if self.num_cpu_blocks is not None and self.preemption != "swap":
            raise ConfigError("num_cpu_blocks is memory to swap to: it needs preemption='swap'.")

    @classmethod
    def from_kwargs(cls, **kwargs: Any) -> EngineConfig:
        """Build from keyword arguments; an unknown one is an error, never dropped."""
        known = [f.name for f in fields(cls)]
        for name in kwargs:
            if name not in known:
                raise ConfigError(
                    f"unknown engine argument {name!r}.{closest(name, known)} "
                    f"Known: {', '.join(known)}."
                )
        return cls(**kwargs)

    def resolve(
        self,
        *,
        chunked: bool,
        model_max_len: int,
        blocks_that_fit: int | None = None,
        preempts: bool = True,
    ) -> ResolvedConfig:
        """Choose every unset value and refuse impossible ones.

        `chunked`: the scheduler splits prompts; `preempts`: it may preempt. `blocks_that_fit`: what
        memory allows for the resolved block size, None where memory is no limit.
        """
        if self.num_cpu_blocks is not None and not preempts:
            raise ConfigError(
                f"num_cpu_blocks {self.num_cpu_blocks} is memory to swap to, and this scheduler "
                "never preempts: it reserves all that a request may need (static, orca, vtc, "
                "lightllm_conservative do). Leave it out."
            )
        block_size = self._positive("block_size", 1 if self.kv_cache == "token" else 16)
        max_model_len = self._positive("max_model_len", model_max_len)
        if max_model_len > model_max_len:
            raise ConfigError.of(
                "refusals.context_over_model", asked=max_model_len, limit=model_max_len
            )
        budget = self._positive(
            "max_num_batched_tokens", CHUNKING_BUDGET if chunked else max(max_model_len, 2048)
        )
        max_num_seqs = self._positive("max_num_seqs", min(DEFAULT_MAX_NUM_SEQS, budget))
        if max_num_seqs > budget:
            raise ConfigError.of("refusals.seqs_over_budget", seqs=max_num_seqs, budget=budget)
        usable = max_num_seqs * -(-max_model_len // block_size)
        if self.num_blocks is None and blocks_that_fit is not None:
            if blocks_that_fit < 1:
                raise ConfigError.of("refusals.no_room", size=block_size)
            usable = min(usable, blocks_that_fit)
        num_blocks = self._positive("num_blocks", usable)
        caching = self.enable_prefix_caching
        if caching is None:
            caching = self.kv_cache == "paged"
        return ResolvedConfig(
            block_size=block_size,
            num_blocks=num_blocks,
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=budget,
            max_model_len=max_model_len,
            enable_prefix_caching=caching,
            kv_cache=self.kv_cache,
            reserve=self.reserve or ("max" if self.kv_cache == "contiguous" else ""),
            preemption=self.preemption,
            num_cpu_blocks=(
                self._positive("num_cpu_blocks", num_blocks)
                if self.preemption == "swap" and preempts
                else 0
            ),
            kv_cache_dtype=self.kv_cache_dtype.removesuffix("_e4m3"),
            seed=self.seed,
        )

    def _one_of(self, name: str, known: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in known:
            hint = closest(value, known) if isinstance(value, str) else ""
            raise ConfigError(f"unknown {name} {value!r}.{hint} Known: {', '.join(known)}.")

    def _positive(self, name: str, default: int) -> int:
        value = getattr(self, name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{name} must be a whole number, got {value!r}.")
        if value < 1:
            raise ConfigError.of("refusals.at_least_one", name=name, value=value)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedConfig:
    """The settings in force; recorded in the trace header."""

    block_size: int
    num_blocks: int
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    enable_prefix_caching: bool
    kv_cache: str
    reserve: str  # of contiguous; empty elsewhere
    preemption: str
    num_cpu_blocks: int  # 0 where nothing is swapped
    kv_cache_dtype: str  # "auto" (the model's) or "fp8"
    seed: int
