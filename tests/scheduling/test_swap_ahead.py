"""FastServe swaps ahead of need, beside the step's compute."""

from __future__ import annotations

from minillm import simulate
from minillm.events import Step, SwappedIn, SwappedOut
from minillm.trace.trace import Trace
from minillm.workload import RequestSpec


class Cost:
    """Steps of 20 ms and a slow link, so that waiting for it would show."""

    def __init__(self, seconds_per_swap: float) -> None:
        self.seconds_per_swap = seconds_per_swap

    def step_seconds(self, batch: object) -> float:
        return 0.020

    def transfer_seconds(self, num_bytes: float) -> float:
        return self.seconds_per_swap if num_bytes else 0.0


def run(
    seconds_per_swap: float = 0.005, scheduler: str = "fastserve", max_num_seqs: int = 2
) -> Trace:
    """Two places, six requests: who has sunk in the queues pauses."""
    workload = [
        RequestSpec(arrival_time=0.03 * i, prompt_len=30, output_len=25, max_tokens=40)
        for i in range(6)
    ]
    return simulate(
        workload,
        scheduler=scheduler,
        cost_model=Cost(seconds_per_swap),
        preemption="swap",
        num_blocks=14,
        block_size=16,
        max_num_seqs=max_num_seqs,
        max_model_len=128,
        enable_prefix_caching=False,
    )


def test_those_who_pause_leave_before_their_blocks_are_needed() -> None:
    trace = run()
    out = [e for s in trace.steps for e in s.events if isinstance(e, SwappedOut)]
    back = [e for s in trace.steps for e in s.events if isinstance(e, SwappedIn)]
    assert out
    assert len(out) == len(back)
    assert all(request.completed for request in trace.requests)


def swapping(trace: Trace) -> list[Step]:
    return [s for s in trace.steps if any(isinstance(e, SwappedOut | SwappedIn) for e in s.events)]


def test_what_is_swapped_ahead_of_need_is_not_waited_for() -> None:
    ahead = [step for step in swapping(run()) if step.transfer == 0]
    assert ahead
    assert {step.duration for step in ahead} == {20_000_000}


def test_a_slow_link_lengthens_the_step_only_by_what_compute_does_not_cover() -> None:
    ahead = [step for step in swapping(run(seconds_per_swap=0.050)) if step.transfer == 0]
    assert {step.duration for step in ahead} == {50_000_000}


def test_reactive_swapping_is_waited_for() -> None:
    swaps = swapping(run(scheduler="vllm", max_num_seqs=6))
    assert swaps
    assert {(step.transfer, step.duration) for step in swaps} == {(5_000_000, 25_000_000)}
