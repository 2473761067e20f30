"""The published ways to hold the KV cache, by name, and their engine settings. What each does is in
the catalogues: `say(language, f"memories.{name}.about")`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minillm.config import ConfigError, closest


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One way to hold the KV cache."""

    settings: Mapping[str, str]

    def adapt(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Engine `settings` made for paged memory, for this one: with as many slots, and without
        what is impossible here."""
        adapted = {**settings, **self.settings}
        if adapted["kv_cache"] == "token":
            size = adapted.pop("block_size", None) or 16
            if adapted.get("num_blocks") is not None:
                adapted["num_blocks"] *= size
        elif adapted["kv_cache"] == "contiguous":
            adapted.pop("enable_prefix_caching", None)
        return adapted


MEMORIES: dict[str, Memory] = {
    "paged": Memory(
        settings={"kv_cache": "paged"},
    ),
    "token": Memory(
        settings={"kv_cache": "token"},
    ),
    "contiguous-max": Memory(
        settings={"kv_cache": "contiguous", "reserve": "max"},
    ),
    "contiguous-pow2": Memory(
        settings={"kv_cache": "contiguous", "reserve": "pow2"},
    ),
    "contiguous-oracle": Memory(
        settings={"kv_cache": "contiguous", "reserve": "oracle"},
    ),
}


def get_memory(name: str) -> Memory:
    """The memory called `name`; an unknown name is a ConfigError that lists those there are."""
    if name not in MEMORIES:
        raise ConfigError(
            f"unknown memory {name!r}.{closest(name, MEMORIES)} Known: {', '.join(MEMORIES)}."
        )
    return MEMORIES[name]


def memory_name(kv_cache: str, reserve: str = "") -> str:
    """The name in `MEMORIES` of an engine's settings, as a trace's header has them."""
    return f"{kv_cache}-{reserve}" if reserve else kv_cache
