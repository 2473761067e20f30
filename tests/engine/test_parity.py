"""Greedy output equals transformers', whatever the scheduler, blocks, memory, cache and budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine.parity import (
    LENGTHS,
    Case,
    Reference,
    Tally,
    compare,
    pairwise_cover,
    prompts_for,
    reference,
    serve,
    whole_matrix,
)
from tiny_models import FAMILIES, tiny_model_folder

from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model

Served = tuple[LoadedModel, list[Reference]]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Family name → (loaded model, reference answers), each made once."""
    cache: dict[str, Served] = {}

    def get(family: str) -> Served:
        if family not in cache:
            if family == "pocket":
                name = "pocket"
            else:
                folder: Path = tmp_path_factory.mktemp(family)
                name = str(tiny_model_folder(family, folder))
            loaded = load_model(name, device="cpu", dtype="float32")
            cache[family] = loaded, reference(loaded, prompts_for(loaded.vocab_size))
        return cache[family]

    return get


@pytest.fixture(scope="module")
def tally() -> Any:
    """Counts near ties over all cases; prints them, and fails above 1 %."""
    count = Tally()
    yield count
    print(f"\nparity: {count.compared:,} tokens compared, {count.near_ties} near ties")
    assert count.near_ties <= 0.01 * max(count.compared, 1)


def check(case: Case, served: Any, tally: Tally) -> None:
    family, *settings = case
    loaded, references = served(family)
    outputs, llm = serve(loaded, [r.prompt for r in references], tuple(settings))
    compare(references, outputs, tally)
    llm.engine.kv_cache.check()
    (scheduler, budget), block_size, memory, caching = settings
    preempted = sum(output.metrics.num_preemptions for output in outputs)
    if memory == "tight" and scheduler in ("vllm", "sarathi") and not (caching or budget):
        assert preempted > 0, "the tight pool was meant to force a preemption"
    if caching and block_size < min(LENGTHS[:3]) and memory == "ample":
        assert sum(output.metrics.num_cached_tokens for output in outputs) > 0


def name(case: Case) -> str:
    family, (scheduler, budget), block_size, memory, caching = case
    cached = "cached" if caching else "uncached"
    return f"{family}-{scheduler}{budget or ''}-b{block_size}-{memory}-{cached}"


MODELS = ("pocket", *FAMILIES)


@pytest.mark.parametrize("case", pairwise_cover(MODELS), ids=name)
def test_greedy_parity(case: Case, served: Any, tally: Tally) -> None:
    check(case, served, tally)


@pytest.mark.full
@pytest.mark.parametrize("case", whole_matrix(MODELS), ids=name)
def test_greedy_parity_whole_matrix(case: Case, served: Any, tally: Tally) -> None:
    check(case, served, tally)
