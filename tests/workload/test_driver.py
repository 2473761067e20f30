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
