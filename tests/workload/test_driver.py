"""The driver feeds requests by the engine's clock."""

from __future__ import annotations

import pytest
from fakes import CheckingExecutor, fake_engine

from minillm.events import Added
from minillm.workload import RequestSpec, WorkloadDriver


def spec(arrival: float, prompt_len: int = 4, output_len: int = 3, **more: object) -> RequestSpec:
    return RequestSpec(
        arrival_time=arrival,
        prompt_len=prompt_len,
        output_len=output_len,
        **more,  # type: ignore[arg-type]
    )


def run(driver: WorkloadDriver) -> list:
    steps = []
    while not driver.finished:
        step = driver.step()
        if step is not None:
            steps.append(step)
    return steps


def test_idle_time_is_skipped_and_arrivals_keep_their_time() -> None:
    executor = CheckingExecutor(16, seconds=0.010)
    driver = WorkloadDriver(fake_engine(executor=executor), [spec(5.0), spec(0.015), spec(0.012)])
    steps = run(driver)
    assert [s.start / 1e9 for s in steps][:3] == [0.012, 0.022, 0.032]
    added = [(s.start, e.arrival) for s in steps for e in s.events if isinstance(e, Added)]
    # the second arrives during the first step and becomes visible at its end
    assert added == [
        (12_000_000, 12_000_000),
        (22_000_000, 15_000_000),
        (5_000_000_000, 5_000_000_000),
    ]


def test_output_len_decides_the_end() -> None:
    engine = fake_engine()
    lengths: list[int] = []
    engine.hooks.on("finished", lambda output: lengths.append(len(output.outputs[0].token_ids)))
    run(WorkloadDriver(engine, [spec(0, output_len=7), spec(1, output_len=9, max_tokens=4)]))
    assert lengths == [7, 4]


def test_a_rejected_request_is_told_and_the_rest_is_served() -> None:
    driver = WorkloadDriver(fake_engine(), [spec(0, prompt_len=9999), spec(0), spec(1)])
    steps = run(driver)
    assert len(driver.rejections) == 1
    assert "9,999 tokens" in driver.rejections[0]
    assert len([e for s in steps for e in s.events if isinstance(e, Added)]) == 2


def test_the_same_seed_gives_the_same_steps() -> None:
    def once() -> list:
        return run(WorkloadDriver(fake_engine(seed=3), [spec(0.1 * n, 5 + n) for n in range(9)]))

    assert once() == once()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arrival_time": -1, "prompt_len": 1, "output_len": 1}, "arrival_time must be ≥ 0"),
        ({}, "give either prompt"),
        ({"prompt": "x", "prompt_len": 4}, "give either prompt"),
        ({"prompt_len": 4}, "needs output_len"),
        ({"prompt_len": 0, "output_len": 1}, "prompt_len must be at least 1"),
    ],
)
def test_impossible_requests_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RequestSpec(**fields)


def test_shared_prefixes_are_the_same_tokens_on_a_real_engine() -> None:
    engine = fake_engine()
    prompts: list[list[int]] = []
    engine.hooks.on("request_added", lambda request: prompts.append(request.prompt_token_ids))
    shared = [
        spec(0.0, 40, prefix_id="a", prefix_len=32),
        spec(0.1, 40, prefix_id="a", prefix_len=32),
    ]
    other = [spec(0.2, 40, prefix_id="b", prefix_len=32), spec(0.3, 40)]
    hashed = [spec(0.4, 40, hash_ids=[1, 2], hash_block_size=16) for _ in range(2)]
    run(WorkloadDriver(engine, [*shared, *other, *hashed]))
    first, second, third, fourth, fifth, sixth = prompts
    assert first[:32] == second[:32]
    assert first[32:] != second[32:]
    assert third[:32] != first[:32]
    assert fourth[:32] not in (first[:32], third[:32])
    assert fifth[:32] == sixth[:32]
    assert fifth[32:] != sixth[32:]
    assert {len(prompt) for prompt in prompts} == {40}


def test_a_closed_loop_sends_when_there_is_room() -> None:
    engine = fake_engine(executor=CheckingExecutor(16, seconds=0.010))
    driver = WorkloadDriver(engine, [spec(0.0) for _ in range(5)], max_concurrency=2)
    most = 0
    while not driver.finished:
        driver.step()
        most = max(most, len(engine.running) + len(engine.waiting))
    assert most == 2


def test_a_loop_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_concurrency must be at least 1"):
        WorkloadDriver(fake_engine(), [], max_concurrency=0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prefix_id": 1}, "given together"),
        ({"prefix_id": 1, "prefix_len": 0}, "prefix_len must be at least 1"),
        ({"prefix_id": 1, "prefix_len": 2, "hash_ids": [1]}, "either prefix_id or hash_ids"),
    ],
)
def test_impossible_sharing_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RequestSpec(prompt_len=4, output_len=4, **fields)
    with pytest.raises(ValueError, match="requests given by prompt_len"):
        RequestSpec(prompt="text", hash_ids=[1])
