"""Greedy output equals transformers', whatever the scheduler, blocks, memory, cache and budget."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from engine.parity import (
    LENGTHS,
    MEMORIES,
    Case,
    Reference,
    Tally,
    compare,
    pairwise_cover,
    prompts_for,
    reference,
    serve,
    serve_under_pressure,
    whole_matrix,
)
from tiny_models import FAMILIES, tiny_model_folder

from minillm.events import Copied, Forked, Preempted, SwappedIn, WaitReason
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.scheduling import SYSTEMS

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


def check_under_pressure(
    system: str, cases: list[tuple[str, str]], served: Any, tally: Tally, n: int = 1
) -> Counter[type]:
    """Serve with one system under each (memory, preemption); returns how many events of each kind
    there were in all."""
    loaded, references = served("pocket")
    references = references[: 5 if n == 1 else 3]
    happened: Counter[type] = Counter()
    for memory, preemption in cases:
        outputs, llm = serve_under_pressure(
            loaded, [r.prompt for r in references], system, memory, preemption, n
        )
        assert all(len(output.outputs) == n for output in outputs)
        compare(references, outputs, tally)
        for step in llm.trace.steps:
            happened.update(type(event) for event in (*step.events, *step.after))
    return happened


def check_preemptions(system: str, happened: Counter[type], swaps: bool) -> None:
    if WaitReason.PREEMPTED in SYSTEMS[system].reasons:
        assert happened[Preempted] > 0, "the pools were meant to force preemptions"
        assert not swaps or happened[SwappedIn] > 0, "and some of them by swap"


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_in_every_memory(system: str, served: Any, tally: Tally) -> None:
    """Half of the matrix: each manager and each way to preempt occurs with each system."""
    ways = ("recompute", "swap")
    turn = list(SYSTEMS).index(system)
    cases = [(memory, ways[(turn + i) % 2]) for i, memory in enumerate(MEMORIES)]
    check_preemptions(system, check_under_pressure(system, cases, served, tally), swaps=False)


@pytest.mark.full
@pytest.mark.parametrize("preemption", ["recompute", "swap"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_in_every_memory_whole_matrix(
    system: str, preemption: str, served: Any, tally: Tally
) -> None:
    cases = [(memory, preemption) for memory in MEMORIES]
    happened = check_under_pressure(system, cases, served, tally)
    check_preemptions(system, happened, swaps=preemption == "swap")


@pytest.mark.parametrize("memory", MEMORIES)
def test_greedy_forks_are_alike(memory: str, served: Any, tally: Tally) -> None:
    """n=3 under memory pressure: every fork says what the reference says."""
    for system, preemption in (("sarathi", "recompute"), ("vllm", "swap"), ("priority", "swap")):
        happened = check_under_pressure(system, [(memory, preemption)], served, tally, n=3)
        assert happened[Forked] == 6
        assert memory not in ("paged", "paged-uncached") or happened[Copied] > 0


@pytest.mark.full
@pytest.mark.parametrize("system", SYSTEMS)
def test_greedy_forks_are_alike_whole_matrix(system: str, served: Any, tally: Tally) -> None:
    cases = [(memory, way) for memory in MEMORIES for way in ("recompute", "swap")]
    happened = check_under_pressure(system, cases, served, tally, n=3)
    assert happened[Forked] == 6 * len(cases)
    check_preemptions(system, happened, swaps=system != "lightllm")  # which hardly preempts
