"""What never breaks, for every scheduler: books balance, output is right, nobody is forgotten."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from fakes import CheckingExecutor, expected_output, fake_engine
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from minillm.engine import Engine
from minillm.events import ALL_RUNNING, ALL_WAITING, Forked, Step
from minillm.request import RequestOutput, RequestRejected, SamplingParams, Status
from minillm.scheduling import SYSTEMS, Plan, Scheduler
from minillm.trace.fold import State, apply


class ShortestPromptFirst(Scheduler):
    """The user's policy of the documentation."""

    def key(self, request: Any, now: int) -> int:
        return request.num_prompt_tokens


class HalfTheDecodes(Scheduler):
    """A policy that stalls some decodes and names no reason: the engine must fill it in."""

    def compose(self, plan: Plan, waiting: Any) -> None:
        decodes = [r for r in plan.running if r.in_decode]
        for request in decodes[: (len(decodes) + 1) // 2]:
            if request in plan.running:
                plan.decode(request)
        plan.continue_prefills()
        plan.admit_in_order(waiting)


POLICIES: dict[str, Any] = {name: (lambda name=name: name) for name in SYSTEMS}
POLICIES |= {"shortest": ShortestPromptFirst, "half": HalfTheDecodes}


MEMORIES: list[dict[str, Any]] = [
    {"kv_cache": "paged", "enable_prefix_caching": True},
    {"kv_cache": "paged", "enable_prefix_caching": False},
    {"kv_cache": "token", "enable_prefix_caching": True},
    {"kv_cache": "token"},
    *({"kv_cache": "contiguous", "reserve": reserve} for reserve in ("max", "pow2", "oracle")),
]


class EngineMachine(RuleBasedStateMachine):
    policy = "sarathi"
    overlapped = False

    @initialize(
        block_size=st.sampled_from([1, 3, 4, 16]),
        slots=st.integers(12, 96),
        budget=st.integers(1, 40),
        max_num_seqs=st.integers(1, 6),
        memory=st.sampled_from(MEMORIES),
        cpu_blocks=st.sampled_from([0, 0, 2, 8, 40]),
        failures=st.lists(st.integers(0, 60), max_size=2),
    )
    def start(
        self,
        block_size: int,
        slots: int,
        budget: int,
        max_num_seqs: int,
        memory: dict[str, Any],
        cpu_blocks: int,
        failures: list[int],
    ) -> None:
        if memory["kv_cache"] == "token":
            block_size = 1
        if cpu_blocks:
            memory = memory | {"preemption": "swap", "num_cpu_blocks": cpu_blocks}
        self.executor = CheckingExecutor(block_size, fail_at=failures)
        self.engine: Engine = fake_engine(
            POLICIES[self.policy](),
            executor=self.executor,
            model_max_len=64,
            overlapped=self.overlapped,
            block_size=block_size,
            num_blocks=max(2, slots // block_size),
            max_num_batched_tokens=budget,
            max_num_seqs=min(max_num_seqs, budget),
            **memory,
        )
        self.engine.hooks.on("finished", self.on_finished)
        self.asked: dict[str, tuple[list[int], int, bool]] = {}
        self.done: dict[str, RequestOutput] = {}
        self.state = State(self.engine.config.num_blocks)
        self.waits_in_force: tuple[Any, ...] = ()

    def on_finished(self, output: RequestOutput) -> None:
        assert output.request_id not in self.done
        self.done[output.request_id] = output

    @rule(
        stem=st.sampled_from([0, 4, 8, 16]),
        tail=st.lists(st.integers(0, 3), max_size=8),
        max_tokens=st.one_of(st.none(), st.integers(1, 20)),
        ignore_eos=st.booleans(),
        n=st.sampled_from([1, 1, 1, 2, 3]),
    )
    def add(
        self, stem: int, tail: list[int], max_tokens: int | None, ignore_eos: bool, n: int
    ) -> None:
        prompt = [n % 5 for n in range(stem)] + tail
        sampling = SamplingParams(n=n, temperature=0, max_tokens=max_tokens, ignore_eos=ignore_eos)
        try:
            name = self.engine.add_request(prompt, sampling)
        except RequestRejected:
            return
        request = self.engine.waiting[len(self.engine.waiting) - 1]
        self.asked[name] = (prompt, request.max_tokens, ignore_eos)

    @rule()
    def step(self) -> None:
        before = {r.request_id: r.num_computed_tokens for r in self.engine.running}
        step = self.engine.step()
        if step is not None:
            self.check_step(step, before)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.asked)))
        was_unfinished = name not in self.done
        assert self.engine.abort(name) == was_unfinished

    @invariant()
    def books_balance(self) -> None:
        if hasattr(self, "engine"):
            self.engine.kv_cache.check()

    def check_step(self, step: Step, before: dict[str, int]) -> None:
        config = self.engine.config
        assert 1 <= self.executor.batch_sizes[-1] <= config.max_num_batched_tokens
        self.state = apply(self.state, step)
        assert len(self.state.batch) <= config.max_num_seqs
        for request in (*self.engine.waiting, *self.engine.running):
            folded = self.state.sequences[request.request_id]
            assert folded.computed == request.num_computed_tokens
            assert folded.outputs == request.num_output_tokens
            assert folded.blocks == self.engine.kv_cache.block_table(request)
            waiting = request.status is Status.WAITING
            assert (folded.phase == "waiting") == waiting
            assert (folded.phase == "decode") == (
                request.in_decode and request.status is Status.RUNNING
            )
        self.check_everyone_is_accounted_for(step, before)

    def check_everyone_is_accounted_for(self, step: Step, before: dict[str, int]) -> None:
        """Whoever made no progress has a reason in force."""
        if step.waits is not None:
            self.waits_in_force = step.waits
        who = {wait.who for wait in self.waits_in_force}
        if self.engine.waiting and ALL_WAITING not in who:
            newborn = {event.child for event in step.after if isinstance(event, Forked)}
            assert {r.request_id for r in self.engine.waiting} <= who | newborn
        for request in self.engine.running:
            if before.get(request.request_id) == request.num_computed_tokens:
                idle = request.status is Status.RUNNING
                assert not idle or ALL_RUNNING in who or request.request_id in who

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        steps = 0
        while self.engine.has_unfinished:
            before = {r.request_id: r.num_computed_tokens for r in self.engine.running}
            step = self.engine.step()
            if step is not None:
                self.check_step(step, before)
            steps += 1
            assert steps < 5000, "no progress"
        self.engine.kv_cache.check()
        assert self.engine.kv_cache.num_free_blocks == self.engine.config.num_blocks
        assert set(self.done) == set(self.asked)
        for name, (prompt, max_tokens, ignore_eos) in self.asked.items():
            expected = expected_output(prompt, max_tokens, ignore_eos=ignore_eos)
            for got in self.done[name].outputs:
                assert got.token_ids == expected[: len(got.token_ids)]
                if got.finish_reason in ("stop", "length"):
                    assert got.token_ids == expected


@pytest.mark.parametrize("policy", POLICIES)
def test_engine_invariants(policy: str) -> None:
    machine = type(f"Machine_{policy}", (EngineMachine,), {"policy": policy})
    machine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
    machine.TestCase("runTest").runTest()


@pytest.mark.full
@pytest.mark.parametrize("policy", POLICIES)
def test_engine_invariants_at_length(policy: str) -> None:
    machine = type(f"LongMachine_{policy}", (EngineMachine,), {"policy": policy})
    machine.TestCase.settings = settings(max_examples=600, stateful_step_count=80, deadline=None)
    machine.TestCase("runTest").runTest()
