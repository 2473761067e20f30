"""Each scene makes the point that it announces, on the real pocket model."""

from __future__ import annotations

from typing import Any

import pytest

from minillm import ConfigError, Trace
from minillm.build import build_engine, header_of
from minillm.events import Preempted, WaitReason
from minillm.execution.loader import load_model
from minillm.kv_cache.memories import MEMORIES
from minillm.scheduling import SYSTEMS
from minillm.trace.recorder import Recorder
from minillm.workload import WorkloadDriver
from minillm.workload.scenes import SCENES, get_scene


@pytest.fixture(scope="module")
def pocket() -> Any:
    return load_model("pocket", device="cpu", dtype="float32")


def play(
    pocket: Any, name: str, scheduler: str | None = None, memory: str | None = None, **changes: Any
) -> Trace:
    scene = get_scene(name)
    scheduler = scheduler or scene.scheduler
    settings = {**scene.settings_for(scheduler, memory), **changes}
    engine = build_engine(pocket, scheduler, **settings)
    recorder = Recorder(header_of(engine, pocket))
    engine.hooks.on("step", recorder.on_step)
    driver = WorkloadDriver(engine, scene.workload(0))
    while not driver.finished:
        driver.step()
    assert driver.rejections == []
    engine.kv_cache.check()
    return recorder.trace


def reasons(trace: Trace) -> set[WaitReason]:
    return {wait.reason for step in trace.steps for wait in step.waits or ()}


def preemptions(trace: Trace) -> int:
    return sum(isinstance(e, Preempted) for step in trace.steps for e in step.events)


@pytest.mark.full
@pytest.mark.parametrize("scheduler", SYSTEMS)
@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_plays_under_every_scheduler(pocket: Any, scene: str, scheduler: str) -> None:
    """Each pair in one memory, so dealt out that each scheduler and each scene meets all."""
    place = list(SYSTEMS).index(scheduler) + list(SCENES).index(scene)
    check_plays(pocket, scene, scheduler, list(MEMORIES)[place % len(MEMORIES)])


@pytest.mark.parametrize("scheduler", SYSTEMS)
def test_every_scheduler_plays_a_scene_in_some_memory(pocket: Any, scheduler: str) -> None:
    """So dealt out that every scene and every memory occur."""
    place = list(SYSTEMS).index(scheduler)
    memory = list(MEMORIES)[place % len(MEMORIES)]
    check_plays(pocket, list(SCENES)[place % len(SCENES)], scheduler, memory)


def check_plays(pocket: Any, scene: str, scheduler: str, memory: str) -> None:
    trace = play(pocket, scene, scheduler, memory)
    assert all(r.finish_reason in ("stop", "length") for r in trace.requests)
    assert len(trace.requests) == len(get_scene(scene).workload(0))


def test_the_long_prompt_stalls_decodes_with_vllm_and_not_with_sarathi(pocket: Any) -> None:
    stalled = play(pocket, "long-prompt")
    assert WaitReason.PREFILL_IN_PROGRESS in reasons(stalled)
    assert max(sum(n for _, n in step.prefills) for step in stalled.steps) > 1500
    flowing = play(pocket, "long-prompt", get_scene("long-prompt").try_next)
    assert WaitReason.PREFILL_IN_PROGRESS not in reasons(flowing)
    assert WaitReason.TOKEN_BUDGET in reasons(flowing)
    assert max(sum(n for _, n in step.prefills) for step in flowing.steps) <= 128


def test_memory_runs_out_with_vllm_and_not_with_orca(pocket: Any) -> None:
    assert preemptions(play(pocket, "memory")) >= 2
    reserving = play(pocket, "memory", get_scene("memory").try_next)
    assert preemptions(reserving) == 0
    assert WaitReason.NO_KV_BLOCKS in reasons(reserving)


def test_the_shared_prompt_is_computed_once(pocket: Any) -> None:
    trace = play(pocket, "shared-prompt")
    first, *others = trace.requests
    assert first.cached_tokens == 0
    assert all(r.cached_tokens >= 0.8 * r.prompt_len for r in others)
    without = play(pocket, "shared-prompt", enable_prefix_caching=False)
    assert sum(r.cached_tokens for r in without.requests) == 0
    assert without.metrics()["mean_ttft_ms"] > trace.metrics()["mean_ttft_ms"]


def test_static_wastes_slots_that_continuous_batching_uses(pocket: Any) -> None:
    static = play(pocket, "static")
    assert WaitReason.BATCH_NOT_FINISHED in reasons(static)
    continuous = play(pocket, "static", get_scene("static").try_next)
    assert len(continuous.steps) < len(static.steps)


def test_mlfq_serves_the_short_before_the_long_are_done(pocket: Any) -> None:
    behind = play(pocket, "feedback")
    rescued = play(pocket, "feedback", get_scene("feedback").try_next)
    for trace, waits in ((behind, True), (rescued, False)):
        stories_end = min(r.finished_at or 0 for r in trace.requests[:4])
        assert all(((r.first_token_at or 0) > stories_end) == waits for r in trace.requests[4:])


def test_the_long_one_starves_with_sjf_and_not_with_ltr(pocket: Any) -> None:
    def overtaken(trace: Trace) -> int:
        """Requests that came later and began earlier."""
        long = trace.requests[2]
        return sum((r.first_token_at or 0) < (long.first_token_at or 0) for r in trace.requests[3:])

    starving = overtaken(play(pocket, "starving"))
    assert starving >= 8
    assert overtaken(play(pocket, "starving", get_scene("starving").try_next)) < starving


def test_vtc_serves_the_modest_tenant_before_the_greedy_one_is_done(pocket: Any) -> None:
    def greedy_first(trace: Trace) -> int:
        """Requests of the greedy tenant that began before the first of the modest one."""
        modest = min(r.first_token_at or 0 for r in trace.requests if r.client == "modest")
        return sum((r.first_token_at or 0) < modest for r in trace.requests if r.client == "greedy")

    assert greedy_first(play(pocket, "two-tenants")) == 10
    assert greedy_first(play(pocket, "two-tenants", get_scene("two-tenants").try_next)) <= 6


def test_contiguous_memory_holds_two_where_paged_holds_eight(pocket: Any) -> None:
    runs = play(pocket, "three-memories").metrics()
    blocks = play(pocket, "three-memories", memory="paged").metrics()
    tokens = play(pocket, "three-memories", memory="token").metrics()
    assert runs["max_concurrent_requests"] == 2
    assert blocks["max_concurrent_requests"] == tokens["max_concurrent_requests"] == 8


def test_the_predicted_peak_saves_evictions(pocket: Any) -> None:
    taken_back = preemptions(play(pocket, "predicted-peak"))
    predicted = preemptions(play(pocket, "predicted-peak", get_scene("predicted-peak").try_next))
    assert taken_back > 10
    assert predicted < taken_back / 2


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_is_seeded(scene: str) -> None:
    build = get_scene(scene).workload
    assert build(5) == build(5)
    assert build(5) != build(6)


def test_an_unknown_scene_is_helped() -> None:
    with pytest.raises(ConfigError, match=r"unknown scene 'memmory'. Did you mean 'memory'"):
        get_scene("memmory")
