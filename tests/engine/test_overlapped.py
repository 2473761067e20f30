"""Scheduling a step ahead: the same answers, true records, and nothing lost on the way."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, cast

import pytest
import test_engine_invariants as invariants
from fakes import EOS, CheckingExecutor, expected_output, fake_engine
from hypothesis import settings
from recorded_runs import record  # pyright: ignore[reportMissingImports]  # of tests/trace

from minillm import LLM
from minillm.build import build_engine, header_of
from minillm.clock import WallClock
from minillm.config import ConfigError
from minillm.engine import Engine
from minillm.events import Finished, Step
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.flight import Failed
from minillm.moves import NO_MOVES
from minillm.overlapped import OverlappedEngine
from minillm.request import RequestOutput, SamplingParams
from minillm.run_summary import RunSummary
from minillm.scheduling import Scheduler
from minillm.trace.digest import Digest
from minillm.trace.fold import apply
from minillm.trace.recorder import Recorder
from minillm.trace.trace import Trace


class OverlappedMachine(invariants.EngineMachine):
    overlapped = True

    def check_step(self, step: Step, before: dict[str, int]) -> None:
        """The engine's own state is a step ahead of the record, unless nothing is in flight."""
        assert isinstance(self.engine, OverlappedEngine)
        if self.engine.in_flight:
            self.state = apply(self.state, step)
            if step.waits is not None:
                self.waits_in_force = step.waits
            assert len(self.state.batch) <= self.engine.config.max_num_seqs
        else:
            super().check_step(step, before)

    def check_everyone_is_accounted_for(self, step: Step, before: dict[str, int]) -> None:
        """Its waits are those of the decision, and the queues may have moved on since."""


@pytest.mark.parametrize("policy", invariants.POLICIES)
def test_overlapped_invariants(policy: str) -> None:
    machine = type(f"Overlapped_{policy}", (OverlappedMachine,), {"policy": policy})
    machine.TestCase.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
    machine.TestCase("runTest").runTest()


@pytest.mark.full
@pytest.mark.parametrize("policy", invariants.POLICIES)
def test_overlapped_invariants_at_length(policy: str) -> None:
    machine = type(f"LongOverlapped_{policy}", (OverlappedMachine,), {"policy": policy})
    machine.TestCase.settings = settings(max_examples=400, stateful_step_count=80, deadline=None)
    machine.TestCase("runTest").runTest()


# ---- what it decides and records ------------------------------------------------------------


def serve(engine: Engine) -> tuple[list[Step], dict[str, RequestOutput]]:
    """Run to the end; the steps in order, and the outputs by id."""
    steps: list[Step] = []
    outputs: dict[str, RequestOutput] = {}
    engine.hooks.on("step", steps.append)
    engine.hooks.on("finished", lambda output: outputs.update({output.request_id: output}))
    while engine.has_unfinished:
        engine.step()
    return steps, outputs


def greedy(max_tokens: int, **more: Any) -> SamplingParams:
    return SamplingParams(temperature=0, max_tokens=max_tokens, **more)


PROMPTS = [[1, 2, 3], [4, 5], [6, 8, 9, 10, 11], [12], [13, 14, 15, 16]]


@pytest.mark.parametrize("policy", ["sarathi", "vllm", "static", "orca", "srtf", "vtc"])
def test_it_decides_as_the_plain_loop_does_where_only_length_ends(policy: str) -> None:
    decided = []
    for overlapped in (False, True):
        engine = fake_engine(policy, overlapped=overlapped, num_blocks=40, block_size=4)
        for i, prompt in enumerate(PROMPTS):
            engine.add_request(prompt, greedy(3 + 2 * i, ignore_eos=True))
        steps, outputs = serve(engine)
        assert not any(step.wasted for step in steps)
        rows = [(step.prefills, step.tokens, step.waits, step.start) for step in steps]
        times = {name: (o.metrics.ttft, o.metrics.e2el) for name, o in outputs.items()}
        decided.append((rows, times, {n: o.outputs[0].token_ids for n, o in outputs.items()}))
    assert decided[0] == decided[1]


def test_an_end_token_costs_one_wasted_row_and_the_record_says_so() -> None:
    engine = fake_engine(overlapped=True, num_blocks=60, block_size=4)
    prompt = next([n] for n in range(50) if 2 <= len(expected_output([n], 30)) < 30 and n != EOS)
    length = len(expected_output(prompt, 30))
    name = engine.add_request(prompt, greedy(30))
    steps, outputs = serve(engine)
    assert outputs[name].outputs[0].finish_reason == "stop"
    assert len(outputs[name].outputs[0].token_ids) == length
    assert [step.wasted for step in steps] == [()] * length + [(name,)]
    assert Finished(name, "stop") in steps[-1].after
    trace = _trace(engine, steps)
    (record,) = trace.requests
    assert record.output_len == length
    ended = steps[-1].start
    assert (record.finished_at, outputs[name].metrics.finished_time) == (ended, ended / 1e9)
    assert sum(trace.blame().by_kind(name).values()) == ended - record.arrival
    reread = Digest(trace.header)
    for step in steps:
        reread.feed(step)


def _trace(engine: Engine, steps: list[Step]) -> Trace:
    from minillm.engine_header import engine_header

    return Trace(engine_header(engine, model="fake", device="none", dtype="none"), steps)


def test_one_that_would_end_by_length_ends_by_its_end_token_a_step_before() -> None:
    prompt = next([n] for n in range(50) if len(expected_output([n], 30)) == 4)
    engine = fake_engine(overlapped=True, num_blocks=60)
    name = engine.add_request(prompt, greedy(5))
    steps, outputs = serve(engine)
    assert outputs[name].outputs[0].finish_reason == "stop"
    assert outputs[name].outputs[0].token_ids == expected_output(prompt, 30)
    assert [event for s in steps for event in s.after if type(event) is Finished] == [
        Finished(name, "stop")
    ]
    assert steps[-1].wasted == (name,)


def test_the_plain_loop_serves_what_needs_its_own_tokens_first() -> None:
    engine = fake_engine(overlapped=True, num_blocks=80)
    assert isinstance(engine, OverlappedEngine)
    engine.add_request([1, 2], greedy(20, ignore_eos=True))
    engine.step()
    assert engine.in_flight
    engine.add_request([3, 4], greedy(3, ignore_eos=True, repetition_penalty=1.5))
    engine.step()
    assert not engine.in_flight
    for _ in range(3):
        engine.step()
        assert not engine.in_flight
    engine.step()
    assert engine.in_flight


def test_a_failure_ends_both_steps_in_flight_and_no_block_is_trusted() -> None:
    executor = CheckingExecutor(4, fail_at=[2])
    engine = fake_engine(executor=executor, overlapped=True, num_blocks=60, block_size=4)
    prompts = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6]]
    names = [engine.add_request(prompt, greedy(8, ignore_eos=True)) for prompt in prompts]
    steps, outputs = serve(engine)
    assert len(steps) == 2
    assert [outputs[n].outputs[0].finish_reason for n in names] == ["error", "error"]
    for name, prompt in zip(names, prompts, strict=True):
        assert outputs[name].outputs[0].token_ids == expected_output(prompt, 2, ignore_eos=True)
    again = engine.add_request(prompts[0], greedy(8, ignore_eos=True))
    steps, outputs = serve(engine)
    assert outputs[again].outputs[0].token_ids == expected_output(prompts[0], 8, ignore_eos=True)
    assert outputs[again].metrics.num_cached_tokens == 0
    engine.kv_cache.check()


def test_an_answer_that_was_complete_stays_so_when_its_static_batch_fails_later() -> None:
    executor = CheckingExecutor(4, fail_at=[4])
    engine = fake_engine("static", executor=executor, overlapped=True, num_blocks=60, block_size=4)
    short = engine.add_request([1, 2, 3], greedy(2, ignore_eos=True))
    long = engine.add_request([4, 5, 6], greedy(9, ignore_eos=True))
    steps, outputs = serve(engine)
    assert outputs[short].outputs[0].finish_reason == "length"
    assert outputs[long].outputs[0].finish_reason == "error"
    assert outputs[short].outputs[0].token_ids == expected_output([1, 2, 3], 2, ignore_eos=True)
    _trace(engine, steps).metrics()


def test_a_trace_plays_after_a_failed_step_in_which_one_would_have_been_done() -> None:
    executor = CheckingExecutor(4, fail_at=[0])
    engine = fake_engine("static", executor=executor, overlapped=True, num_blocks=60, block_size=4)
    engine.add_request([1, 2, 3], greedy(1))
    engine.add_request([4, 5, 6], greedy(4))
    engine.step()
    again = engine.add_request([7, 8], greedy(3, ignore_eos=True))
    steps, outputs = serve(engine)
    assert outputs[again].outputs[0].finish_reason == "length"
    assert len(_trace(engine, steps).requests) == 3


def test_a_policy_may_observe_by_itself() -> None:
    class Own(Scheduler):
        def observe(self, step: Step) -> None:
            seen.append([row.num_new_tokens for row in self.computed])

    for overlapped in (False, True):
        seen: list[list[int]] = []
        engine = fake_engine(Own(), overlapped=overlapped, num_blocks=60)
        engine.add_request([1, 2, 3], greedy(3, ignore_eos=True))
        serve(engine)
        assert seen == [[3], [1], [1]]


def test_an_abort_between_two_steps_returns_known_tokens_only() -> None:
    engine = fake_engine(overlapped=True, num_blocks=60)
    first = engine.add_request([1, 2], greedy(20, ignore_eos=True))
    other = engine.add_request([3, 4], greedy(6, ignore_eos=True))
    engine.step()
    engine.step()
    assert engine.abort(first)
    steps, outputs = serve(engine)
    assert steps[0].wasted == (first,)
    assert outputs[other].outputs[0].token_ids == expected_output([3, 4], 6, ignore_eos=True)


def test_drain_completes_what_is_in_flight() -> None:
    engine = fake_engine(overlapped=True, num_blocks=60)
    assert isinstance(engine, OverlappedEngine)
    steps: list[Step] = []
    engine.hooks.on("step", steps.append)
    engine.add_request([1, 2], greedy(20, ignore_eos=True))
    engine.step()
    assert (len(steps), engine.in_flight) == (1, True)
    engine.drain()
    assert (len(steps), engine.in_flight) == (2, False)
    engine.drain()
    assert len(steps) == 2


@pytest.mark.parametrize("policy", ["sarathi", "vllm", "static", "fastserve"])
def test_blame_adds_up_to_the_times_that_the_metrics_tell(policy: str) -> None:
    wasted = 0
    for seed in range(3):
        trace = record(policy, seed=seed, overlapped=True, num_blocks=16, abort=0.02).trace
        blame = trace.blame()
        completed = [request for request in trace.requests if request.completed]
        assert completed
        for request in completed:
            assert request.finished_at is not None
            spent = request.finished_at - request.arrival
            assert sum(blame.by_kind(request.id).values()) == spent
        wasted += sum(len(step.wasted) for step in trace.steps)
    assert wasted


@pytest.mark.parametrize("policy", ["static", "vllm", "vtc", "lightllm", "fastserve", "sarathi"])
@pytest.mark.parametrize("memory", ["paged", "contiguous"])
def test_random_runs_end_as_in_the_plain_loop(policy: str, memory: str) -> None:
    """Ends by length one step apart, ends by token beside them, stalled and outranked decodes."""
    for seed in range(8):
        rng = Random(seed)
        asked = [
            (rng.choices(range(50), k=rng.randrange(1, 9)), rng.randrange(1, 9), rng.random() < 0.5)
            for _ in range(7)
        ]
        engine = fake_engine(policy, overlapped=True, kv_cache=memory, num_blocks=30, block_size=4)
        names = [engine.add_request(p, greedy(n, ignore_eos=i)) for p, n, i in asked]
        steps, outputs = serve(engine)
        trace = _trace(engine, steps)
        blame = trace.blame()
        finished = {request.id: request.finished_at for request in trace.requests}
        for name, (prompt, count, ignore_eos) in zip(names, asked, strict=True):
            output = outputs[name]
            assert output.outputs[0].token_ids == expected_output(
                prompt, count, ignore_eos=ignore_eos
            )
            assert output.metrics.num_output_tokens == len(output.outputs[0].token_ids)
            ended = finished[name]
            assert ended is not None
            assert output.metrics.finished_time == ended / 1e9
            assert sum(blame.by_kind(name).values()) == ended
        assert not engine.has_unfinished


class Interrupting(CheckingExecutor):
    """Launch number `at` is interrupted, as by Ctrl-C, when its result is waited for."""

    at = 3

    def launch(self, rows: Any, moves: Any = NO_MOVES) -> Any:
        computed = super().launch(rows, moves)
        if self.steps == self.at:
            return Failed(KeyboardInterrupt())
        return computed


def test_an_interrupt_leaves_an_engine_that_goes_on_and_a_trace_that_plays() -> None:
    engine = fake_engine(executor=Interrupting(4), overlapped=True, num_blocks=60, block_size=4)
    steps: list[Step] = []
    engine.hooks.on("step", steps.append)
    lost = engine.add_request([1, 2, 3], greedy(9, ignore_eos=True))
    with pytest.raises(KeyboardInterrupt):
        serve(engine)
    assert not engine.abort(lost)
    again = engine.add_request([1, 2, 3], greedy(9, ignore_eos=True))
    later, outputs = serve(engine)
    assert outputs[again].outputs[0].token_ids == expected_output([1, 2, 3], 9, ignore_eos=True)
    assert len(_trace(engine, steps).requests) == 2
    assert steps[-len(later) :] == later


def test_calls_from_hooks_in_a_step_are_refused_and_cost_nothing() -> None:
    engine = fake_engine(overlapped=True, num_blocks=60)
    name = engine.add_request([1, 2], greedy(10, ignore_eos=True))
    engine.step()
    engine.hooks.on("scheduled", lambda _: engine.abort(name))
    engine.hooks.on("scheduled", lambda _: engine.drain())
    _, outputs = serve(engine)
    assert outputs[name].outputs[0].token_ids == expected_output([1, 2], 10, ignore_eos=True)


def test_a_hook_may_abort_what_it_sees_added() -> None:
    engine = fake_engine(overlapped=True, num_blocks=60)
    engine.hooks.on("request_added", lambda request: engine.abort(request.request_id))
    engine.add_request([1, 2], greedy(10, frequency_penalty=1.0))
    assert not engine.has_unfinished


def test_nobody_has_finished_before_the_last_token_is_here() -> None:
    engine = fake_engine(overlapped=True, num_blocks=60)
    name = engine.add_request([1, 2], greedy(4, ignore_eos=True))
    seen = []
    while engine.has_unfinished:
        engine.step()
        if output := engine.output(name):
            tokens = len(output.outputs[0].token_ids)
            assert output.metrics.num_output_tokens == tokens
            seen.append((output.finished, tokens))
    assert seen == [(False, 1), (False, 2), (False, 3)]


def test_time_stands_still_between_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WallClock()
    now = [0]
    monkeypatch.setattr("minillm.clock.time.perf_counter_ns", lambda: now[0])
    clock.begin_step()
    now[0] = 5
    clock.pause()
    now[0] = 1000
    clock.resume()
    now[0] = 1010
    assert clock.end_step(0.0) == 15


def test_a_summary_counts_the_gaps_of_each_step_as_the_trace_does() -> None:
    executor = CheckingExecutor(4)
    engine = fake_engine(executor=executor, overlapped=True, num_blocks=60, block_size=4)
    summary = RunSummary(engine, _trace(engine, []).header)
    steps: list[Step] = []
    engine.hooks.on("step", steps.append)
    for i in range(5):
        engine.add_request([i, 20 + i, 3], greedy(4 + 3 * i, ignore_eos=i % 2 == 0))
    while engine.has_unfinished:
        executor.seconds = 0.01 + 0.003 * (executor.steps % 4)
        engine.step()
    summary.close(engine.pending_events)
    told, want = summary.metrics(), _trace(engine, steps).metrics()
    for key in ("mean_itl_ms", "p99_itl_ms", "mean_tpot_ms", "mean_e2el_ms", "mean_ttft_ms"):
        assert told[key] == pytest.approx(want[key]), key


# ---- with a real model ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def pocket() -> LoadedModel:
    return load_model("pocket", device="cpu")


ASKED = [
    SamplingParams(temperature=0, max_tokens=40, ignore_eos=True),
    SamplingParams(temperature=0.9, seed=3, max_tokens=40, ignore_eos=True),
    SamplingParams(temperature=0, max_tokens=40),
    SamplingParams(temperature=0, max_tokens=16, logprobs=2),
    SamplingParams(temperature=0, max_tokens=20, stop=(" the",)),
    SamplingParams(temperature=0, max_tokens=1),
    SamplingParams(temperature=1.0, top_p=0.8, max_tokens=12),
]


def test_the_trace_of_an_llm_has_what_is_in_flight(pocket: LoadedModel) -> None:
    llm = LLM(pocket, async_scheduling=True, num_blocks=40)
    llm.engine.add_request([5, 6, 7], SamplingParams(max_tokens=9, ignore_eos=True))
    llm.engine.step()
    late = llm.engine.add_request([8, 9], SamplingParams(max_tokens=9))
    llm.engine.step()
    llm.engine.abort(late)
    trace = llm.trace
    assert len(trace.requests) == 2
    assert len(trace.steps) == 3


def test_left_open_it_is_for_cuda(pocket: LoadedModel) -> None:
    chosen = build_engine(pocket, async_scheduling=None, num_blocks=8)
    assert type(chosen) is Engine
    split = replace(pocket, group=cast(Any, object()))
    with pytest.raises(ConfigError, match="tensor_parallel"):
        build_engine(split, async_scheduling=True, num_blocks=8)


@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("memory", ["ample", "recompute", "swap"])
def test_real_answers_are_those_of_the_plain_loop(
    pocket: LoadedModel, memory: str, penalised: bool
) -> None:
    asked = [*ASKED, SamplingParams(temperature=0, max_tokens=9, frequency_penalty=1.0)]
    asked = asked if penalised else ASKED
    settings: dict[str, Any] = {"num_blocks": 200 if memory == "ample" else 14, "block_size": 8}
    if memory == "swap":
        settings |= {"preemption": "swap", "num_cpu_blocks": 40}
    answers = []
    for ahead in (False, True):
        engine = build_engine(pocket, async_scheduling=ahead, max_num_seqs=8, **settings)
        recorder = Recorder(header_of(engine, pocket))
        engine.hooks.on("step", recorder.on_step)
        for i, sampling in enumerate(asked):
            engine.add_request(list(range(10 + i, 30 + 2 * i)), sampling)
        _, outputs = serve(engine)
        answers.append({name: output.outputs for name, output in outputs.items()})
        assert sum(len(r.token_times) for r in recorder.trace.requests) == sum(
            len(o[0].token_ids) for o in answers[-1].values()
        )
        preempted = recorder.trace.metrics()["num_preemptions"]
        assert (preempted > 0) == (memory != "ample")
    assert _told(answers[0]) == _told(answers[1])


def _told(answers: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [(o.text, o.token_ids, o.finish_reason, o.stop_reason) for o in outputs]
        for name, outputs in answers.items()
    }
