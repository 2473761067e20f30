"""The published ways to hold the KV cache, by name: what each does, and its engine settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minillm.config import ConfigError, closest


@dataclass(frozen=True, kw_only=True)
class Memory:
    """`source`: who published it; `about`: what it does, in a paragraph."""

    source: str
    about: str
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


_RUNS = (
    " Runs come from a buddy allocator in powers of two; what it rounds up and the holes that are "
    "too short are lost, too."
)

MEMORIES: dict[str, Memory] = {
    "paged": Memory(
        source="vLLM, SOSP'23",
        about="Blocks of a few tokens, anywhere in memory, taken as a sequence grows. At most one "
        "block per sequence is partly empty. Blocks can be shared: a prompt's beginning that "
        "another request had too, and the prompt of parallel answers, until one of them writes.",
        settings={"kv_cache": "paged"},
    ),
    "token": Memory(
        source="LightLLM's TokenAttention",
        about="One token at a time, anywhere in memory: a table from each request to the slots of "
        "its tokens. Nothing is held in vain; the table is as long as the text.",
        settings={"kv_cache": "token"},
    ),
    "contiguous-max": Memory(
        source="FasterTransformer and Orca, as the PagedAttention paper measures them (Max)",
        about="One run of memory per request, as before paging, for the prompt and the longest "
        "answer allowed. Most of it is never written." + _RUNS,
        settings={"kv_cache": "contiguous", "reserve": "max"},
    ),
    "contiguous-pow2": Memory(
        source="Orca (Pow2) in the PagedAttention paper, SOSP'23",
        about="One run per request, as if the answer's length were known within a factor of two: "
        "it is rounded up to a power of two." + _RUNS,
        settings={"kv_cache": "contiguous", "reserve": "pow2"},
    ),
    "contiguous-oracle": Memory(
        source="Orca (Oracle) in the PagedAttention paper, SOSP'23",
        about="One run per request, exactly as long as prompt and answer, which no real system can "
        "know. Nothing is reserved in vain, and still holes remain." + _RUNS,
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
