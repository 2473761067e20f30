"""The glossary: every term of LLM serving that minillm uses, in each language.

The texts are in the catalogues (glossary.json): a term has a `name`, `short`, one sentence that
defines it, and `long`, a few more on why it matters. A wait reason's key is `wait_` and its value.
The names are the term table: wherever a catalogue speaks of one, it says it so (tests/messages).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from minillm.messages import say

KINDS: Mapping[str, tuple[str, ...]] = {
    "serving": (
        "request",
        "sequence",
        "token",
        "prompt",
        "prefill",
        "decode",
        "step",
        "batch",
        "token_budget",
        "stall",
        "dead_slot",
        "head_of_line_blocking",
        "interference",
        "trace",
    ),
    "metrics": (
        "latency",
        "ttft",
        "tpot",
        "itl",
        "e2el",
        "queue_time",
        "throughput",
        "goodput",
        "percentile",
        "kv_cache_usage",
    ),
    "waiting": (
        "wait_batch_not_finished",
        "wait_max_num_seqs",
        "wait_token_budget",
        "wait_no_kv_blocks",
        "wait_fragmented",
        "wait_head_of_line",
        "wait_prefill_in_progress",
        "wait_lower_priority",
        "wait_preempted",
    ),
    "scheduling": (
        "scheduler",
        "static_batching",
        "continuous_batching",
        "prefill_first",
        "decode_priority",
        "chunked_prefill",
        "fcfs",
        "priority_scheduling",
        "shortest_first",
        "shortest_remaining",
        "mlfq",
        "skip_join",
        "fair_share",
        "starvation",
        "length_prediction",
        "reserve_maximum",
        "on_demand",
        "watermark",
        "predicted_peak",
        "preemption",
        "recompute",
        "swap",
    ),
    "memory": (
        "kv_cache",
        "block",
        "block_table",
        "slot",
        "paged",
        "contiguous",
        "reserved",
        "internal_fragmentation",
        "external_fragmentation",
        "cached_block",
        "prefix_caching",
        "copy_on_write",
        "reference_count",
        "fork",
    ),
    "kernels": (
        "attention",
        "paged_attention",
        "roofline",
        "arithmetic_intensity",
        "memory_bound",
        "online_softmax",
        "split_kv",
        "gqa",
        "tile",
        "nhd",
        "hnd",
        "packed",
        "csr",
        "memory_transaction",
    ),
    "systems": (
        "tensor_parallelism",
        "speculative_decoding",
        "cuda_graph",
        "simulated_time",
    ),
}

SOURCES: Mapping[str, str] = {
    "dead_slot": "Yu et al., Orca, OSDI'22",
    "interference": "Agrawal et al., Sarathi-Serve, OSDI'24",
    "ttft": "vLLM, `vllm bench serve`",
    "tpot": "vLLM, `vllm bench serve`",
    "itl": "vLLM, `vllm bench serve`",
    "e2el": "vLLM, `vllm bench serve`",
    "throughput": "vLLM, `vllm bench serve`",
    "goodput": "Zhong et al., DistServe, OSDI'24",
    "static_batching": "FasterTransformer",
    "continuous_batching": "Yu et al., Orca, OSDI'22",
    "prefill_first": "Kwon et al., vLLM, SOSP'23",
    "chunked_prefill": "Agrawal et al., Sarathi-Serve, OSDI'24",
    "shortest_first": "Qiu et al., SSJF, 2024",
    "skip_join": "Wu et al., FastServe, 2023",
    "fair_share": "Sheng et al., Virtual Token Counter, OSDI'24",
    "length_prediction": "Fu et al., learning to rank, NeurIPS'24",
    "reserve_maximum": "Yu et al., Orca, OSDI'22",
    "on_demand": "Kwon et al., vLLM, SOSP'23",
    "predicted_peak": "Gong et al., past-future scheduler, ASPLOS'25",
    "recompute": "Kwon et al., vLLM, SOSP'23",
    "swap": "Kwon et al., vLLM, SOSP'23",
    "block": "Kwon et al., PagedAttention, SOSP'23",
    "block_table": "Kwon et al., PagedAttention, SOSP'23",
    "paged": "Kwon et al., PagedAttention, SOSP'23",
    "reserved": "Kwon et al., PagedAttention, SOSP'23",
    "internal_fragmentation": "Kwon et al., PagedAttention, SOSP'23",
    "external_fragmentation": "Kwon et al., PagedAttention, SOSP'23",
    "prefix_caching": "Zheng et al., SGLang, 2023; vLLM",
    "copy_on_write": "Kwon et al., PagedAttention, SOSP'23",
    "attention": "Vaswani et al., 2017",
    "paged_attention": "Kwon et al., PagedAttention, SOSP'23",
    "roofline": "Williams et al., CACM 2009",
    "arithmetic_intensity": "Williams et al., CACM 2009",
    "online_softmax": "Milakov and Gimelshein, 2018; FlashAttention, 2022",
    "split_kv": "Flash-Decoding, 2023",
    "gqa": "Ainslie et al., 2023",
    "nhd": "FlashInfer",
    "hnd": "FlashInfer",
    "packed": "Kwon et al., vLLM, SOSP'23",
    "csr": "Ye et al., FlashInfer, 2025",
    "tensor_parallelism": "Shoeybi et al., Megatron-LM, 2019",
    "speculative_decoding": "Leviathan et al., ICML'23",
}


@dataclass(frozen=True, kw_only=True)
class Term:
    """One term. `kind` is a key of `KINDS`, whose name is the text `glossary.kind_…`; `source`
    names where it comes from, in words that are the same in every language, or is empty."""

    key: str
    kind: str
    name: str
    short: str
    long: str
    source: str


def glossary(language: str) -> dict[str, Term]:
    """Every term by its key, in the order in which one would read them."""
    return {
        key: Term(
            key=key,
            kind=kind,
            name=say(language, f"glossary.{key}.name"),
            short=say(language, f"glossary.{key}.short"),
            long=say(language, f"glossary.{key}.long"),
            source=SOURCES.get(key, ""),
        )
        for kind, keys in KINDS.items()
        for key in keys
    }
