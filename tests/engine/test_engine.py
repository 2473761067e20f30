"""The engine's promises at its edges: the door, failures, aborts, hooks, and being stuck."""

from __future__ import annotations

import logging

import pytest
from fakes import CheckingExecutor, expected_output, fake_engine

from minillm.engine import EngineStuck
from minillm.events import Added, Finished, Rejected, Step
from minillm.request import Request, RequestOutput, RequestRejected, SamplingParams
from minillm.scheduling import Plan, Scheduler
from minillm.trace.fold import State, apply

GREEDY = SamplingParams(temperature=0, max_tokens=5, ignore_eos=True)


def test_steps_are_numbered_timed_and_gapless() -> None:
    engine = fake_engine()
    engine.add_request([1, 2, 3], GREEDY)
    steps = []
    while engine.has_unfinished:
        steps.append(engine.step())
    assert [s.index for s in steps if s] == [0, 1, 2, 3, 4]
    assert [s.start for s in steps if s] == [n * 10_000_000 for n in range(5)]
    assert engine.clock.now == 50_000_000
    assert engine.step() is None  # nothing left to do: no step, no time
    assert engine.clock.now == 50_000_000


@pytest.mark.parametrize(
    ("prompt", "sampling", "settings", "message"),
    [
        (0, {}, {}, "the prompt is empty"),
        (256, {}, {}, "256 tokens; with a context of 256 .* at most 255"),
        (30, {}, {"scheduler": "vllm", "max_num_batched_tokens": 20}, "one step of at most 20"),
        (30, {"max_tokens": 10}, {"num_blocks": 3, "block_size": 10}, "20 slots"),
        (100, {}, {"num_blocks": 5}, "64 slots"),
    ],
)
def test_what_can_never_fit_is_rejected_at_the_door(
    prompt: int, sampling: dict, settings: dict, message: str
) -> None:
    engine = fake_engine(settings.pop("scheduler", "sarathi"), **settings)
    with pytest.raises(RequestRejected, match=message):
        engine.add_request([1] * prompt, SamplingParams(**sampling))
    assert not engine.has_unfinished
    (event,) = engine.pending_events
    assert isinstance(event, Rejected)


def test_the_largest_request_that_fits_is_served() -> None:
    engine = fake_engine(num_blocks=4, block_size=10)  # one block is the watermark: 30 slots
    engine.add_request([1] * 21, SamplingParams(max_tokens=10, ignore_eos=True))
    with pytest.raises(RequestRejected):
        engine.add_request([1] * 21, SamplingParams(max_tokens=11, ignore_eos=True))
    while engine.has_unfinished:
        engine.step()


def test_without_max_tokens_the_pool_and_the_context_are_the_limit() -> None:
    engine = fake_engine(num_blocks=4, block_size=10)
    engine.add_request([1] * 5, SamplingParams())
    assert engine.waiting[0].max_tokens == 26
    roomy = fake_engine(num_blocks=400)
    roomy.add_request([1] * 5, SamplingParams())
    assert roomy.waiting[0].max_tokens == 251


def test_a_failing_executor_ends_that_steps_requests_and_no_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    engine = fake_engine(executor=CheckingExecutor(16, fail_at=[2]), max_num_seqs=1, num_blocks=9)
    outputs: list[RequestOutput] = []
    engine.hooks.on("finished", outputs.append)
    for _ in range(2):
        engine.add_request([1, 2, 3], GREEDY)
    steps: list[Step] = []
    while engine.has_unfinished:
        step = engine.step()
        if step is not None:
            steps.append(step)
    assert [o.outputs[0].finish_reason for o in outputs] == ["error", "length"]
    assert outputs[1].outputs[0].token_ids == expected_output([1, 2, 3], 5, ignore_eos=True)
    assert [s.index for s in steps] == list(range(len(steps)))
    assert any(isinstance(e, Finished) and e.reason == "error" for s in steps for e in s.events)
    engine.kv_cache.check()
    assert engine.kv_cache.num_free_blocks == 9


def test_abort_returns_blocks_and_is_told_in_the_next_step() -> None:
    engine = fake_engine()
    first, second = (engine.add_request([n] * 20, GREEDY) for n in (1, 2))
    engine.step()
    assert engine.abort(first)
    assert not engine.abort(first)
    assert not engine.abort("nobody")
    step = engine.step()
    assert step is not None
    assert Finished(first, "abort") in step.events
    assert engine.abort(second)
    assert Finished(second, "abort") in engine.pending_events
    assert engine.kv_cache.num_free_blocks == engine.config.num_blocks


def test_aborting_the_last_live_member_releases_a_static_batch() -> None:
    engine = fake_engine("static")
    engine.add_request([1], SamplingParams(max_tokens=1, ignore_eos=True))
    other = engine.add_request([2], SamplingParams(max_tokens=50, ignore_eos=True))
    engine.step()
    assert len(engine.running) == 2
    engine.abort(other)
    assert not engine.has_unfinished


def test_a_hook_that_raises_is_dropped_and_the_engine_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = fake_engine()
    calls: list[int] = []

    def bad(step: Step) -> None:
        calls.append(step.index)
        raise RuntimeError("hook")

    good: list[int] = []
    engine.hooks.on("step", bad)
    off = engine.hooks.on("step", lambda step: good.append(step.index))
    engine.add_request([1, 2], GREEDY)
    engine.step()
    engine.step()
    off()
    engine.step()
    assert calls == [0]
    assert good == [0, 1]
    assert "was dropped" in caplog.text


def test_hooks_tell_what_happens() -> None:
    engine = fake_engine(num_blocks=4, block_size=4, enable_prefix_caching=False)
    seen: list[str] = []
    for name in ("request_added", "scheduled", "blocks_allocated", "blocks_freed", "finished"):
        engine.hooks.on(name, lambda *_, name=name: seen.append(name))
    engine.hooks.on("token", lambda request, sampled: seen.append(f"token {sampled.token_id}"))
    engine.add_request([1, 2], SamplingParams(max_tokens=1, ignore_eos=True))
    engine.step()
    token = expected_output([1, 2], 1, ignore_eos=True)[0]
    assert seen == [
        "request_added",
        "scheduled",
        "blocks_allocated",
        "blocks_freed",
        f"token {token}",
        "finished",
    ]
    with pytest.raises(ValueError, match="unknown hook event 'steps'"):
        engine.hooks.on("steps", print)


def test_a_policy_that_schedules_nothing_is_told_with_state() -> None:
    class Lazy(Scheduler):
        def compose(self, plan: Plan, waiting: object) -> None:
            pass

    engine = fake_engine(Lazy())
    engine.add_request([1, 2], GREEDY)
    with pytest.raises(EngineStuck, match="'Lazy' scheduled nothing with 1 waiting and 0 running"):
        engine.step()


def test_ids_are_the_callers_or_counted() -> None:
    engine = fake_engine()
    assert engine.add_request([1], GREEDY) == "0"
    assert engine.add_request([1], GREEDY, request_id="mine") == "mine"
    assert engine.add_request([1], GREEDY, request_id="3") == "3"
    assert engine.add_request([1], GREEDY) == "4"  # counted past the caller's own
    engine.abort("mine")
    for bad in ("mine", "*waiting", 7):  # an id used twice would make its trace two in one
        with pytest.raises(ValueError, match="an id is a string that was not used before"):
            engine.add_request([1], GREEDY, request_id=bad)  # type: ignore[arg-type]


def test_a_token_outside_the_vocabulary_is_refused_and_hurts_nobody() -> None:
    engine = fake_engine()
    engine.vocab_size = 50
    engine.add_request([49], GREEDY)
    for bad in ([1, 50], [-1]):
        with pytest.raises(RequestRejected, match="outside the vocabulary of 50"):
            engine.add_request(bad, GREEDY)
    while engine.has_unfinished:
        assert engine.step() is not None


def test_a_request_from_the_future_is_an_error() -> None:
    engine = fake_engine()
    with pytest.raises(ValueError, match="arrival_time 5 ns is after the engine's now, 0 ns"):
        engine.add_request([1], GREEDY, arrival_time=5)


def test_hooks_may_use_the_engine() -> None:
    """Aborting oneself or a neighbour, and adding requests, from any hook that is called when
    the step is over; the record stays whole."""
    engine = fake_engine(num_blocks=30)
    state = State(engine.config.num_blocks)
    engine.hooks.on("step", lambda step: apply(state, step))
    added: list[str] = []

    def on_token(request: Request, sampled: object) -> None:
        if request.request_id == "0" and request.num_output_tokens == 2:
            assert engine.abort("1")
        if request.request_id == "2" and request.num_output_tokens == 3:
            engine.abort("2")

    def on_finished(output: RequestOutput) -> None:
        if len(added) < 3:
            added.append(engine.add_request([3, 4], GREEDY))

    engine.hooks.on("token", on_token)
    engine.hooks.on("finished", on_finished)
    for n in range(3):
        engine.add_request([n, n + 1], GREEDY)
    while engine.has_unfinished:
        assert engine.step() is not None
    assert len(added) == 3
    assert state.sequences == {} or all(s.phase == "finished" for s in state.sequences.values())
    engine.kv_cache.check()


def test_a_hook_in_the_middle_of_a_step_may_not(caplog: pytest.LogCaptureFixture) -> None:
    engine = fake_engine()
    engine.hooks.on("scheduled", lambda schedule: engine.abort("0"))
    engine.add_request([1, 2], GREEDY)
    while engine.has_unfinished:
        engine.step()
    assert "Engine.abort was called in the middle of a step" in caplog.text


def test_a_hook_may_take_itself_off_and_fail() -> None:
    engine = fake_engine()

    def once(step: Step) -> None:
        off()
        raise RuntimeError("hook")

    off = engine.hooks.on("step", once)
    engine.add_request([1, 2], GREEDY)
    while engine.has_unfinished:
        engine.step()


def test_a_complete_answer_stays_complete_when_its_static_batch_is_broken_off() -> None:
    engine = fake_engine("static")
    outputs: list[RequestOutput] = []
    engine.hooks.on("finished", outputs.append)
    short = engine.add_request([1], SamplingParams(max_tokens=1, ignore_eos=True))
    engine.add_request([2], SamplingParams(max_tokens=50, ignore_eos=True))
    engine.step()
    engine.abort(short)
    assert outputs[0].outputs[0].finish_reason == "length"


def test_an_arrival_keeps_its_own_time() -> None:
    engine = fake_engine()
    engine.clock.advance_to(50)
    engine.add_request([1], GREEDY, arrival_time=20)
    step = engine.step()
    assert step is not None
    assert step.start == 50
    assert [e.arrival for e in step.events if isinstance(e, Added)] == [20]


def test_schedulers_hear_of_arrivals_steps_and_ends() -> None:
    class Listener(Scheduler):
        def __init__(self) -> None:
            super().__init__()
            self.heard: list[str] = []

        def added(self, request) -> None:  # type: ignore[no-untyped-def]
            self.heard.append(f"added {request.request_id}")

        def observe(self, step: Step) -> None:
            self.heard.append(f"step {step.index}")

        def finished(self, request) -> None:  # type: ignore[no-untyped-def]
            self.heard.append(f"finished {request.request_id}")

    listener = Listener()
    engine = fake_engine(listener)
    engine.add_request([1], SamplingParams(max_tokens=1))
    engine.step()
    assert listener.heard == ["added 0", "finished 0", "step 0"]
