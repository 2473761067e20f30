"""Each system does what its paper says, on schedules small enough to write down by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from fakes import CheckingExecutor, fake_engine

from minillm import ConfigError
from minillm.engine import Engine
from minillm.events import Preempted, Step, WaitReason
from minillm.request import Request, SamplingParams
from minillm.scheduling import SYSTEMS, Plan, Scheduler, make_scheduler
from minillm.scheduling.batching import RunToCompletion
from minillm.trace.fold import State, apply


def add(engine: Engine, name: str, prompt: int, output: int) -> None:
    engine.add_request(
        [hash_free(name)] * prompt,
        SamplingParams(temperature=0, max_tokens=output, ignore_eos=True),
        request_id=name,
    )


def hash_free(name: str) -> int:
    return sum(map(ord, name)) % 40


class Watch:
    """Steps an engine and keeps the folded state beside it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.state = State(engine.config.num_blocks)
        self.steps: list[Step] = []

    def step(self) -> dict[str, int]:
        """One step; returns tokens computed per request."""
        step = self.engine.step()
        assert step is not None
        self.steps.append(step)
        self.state = apply(self.state, step)
        return {name: tokens for name, tokens, kind in self.state.batch if kind != "dead"}

    def reason(self, name: str) -> WaitReason | None:
        wait = self.state.waits_by_sequence().get(name)
        return None if wait is None else wait.reason

    def run(self) -> int:
        while self.engine.has_unfinished:
            self.step()
        return len(self.steps)


def engine(scheduler: str, **settings: object) -> Watch:
    defaults = {"block_size": 4, "num_blocks": 64, "enable_prefix_caching": False}
    return Watch(fake_engine(scheduler, **{**defaults, **settings}))


def two_decodes_then(watch: Watch, c: int = 20, d: int = 6) -> None:
    """A and B decode; then C (a long prompt) and D arrive: Sarathi-Serve's figure 7."""
    add(watch.engine, "A", 3, 12)
    add(watch.engine, "B", 3, 12)
    watch.step()
    watch.step()
    add(watch.engine, "C", c, 3)
    add(watch.engine, "D", d, 3)


def test_sarathi_never_stalls_a_decode() -> None:
    """Sarathi-Serve, figure 7: prompts fill what the decodes leave of a budget of 10."""
    watch = engine("sarathi", max_num_batched_tokens=10)
    two_decodes_then(watch)
    assert watch.step() == {"A": 1, "B": 1, "C": 8}
    assert watch.reason("D") is WaitReason.TOKEN_BUDGET
    assert watch.state.waits_by_sequence()["D"].holders == ("A", "B", "C")
    assert watch.step() == {"A": 1, "B": 1, "C": 8}
    assert watch.step() == {"A": 1, "B": 1, "C": 4, "D": 4}
    assert watch.step() == {"A": 1, "B": 1, "C": 1, "D": 2}


def test_vllm_stalls_decodes_for_a_prefill() -> None:
    watch = engine("vllm", max_num_batched_tokens=256)
    two_decodes_then(watch)
    assert watch.step() == {"C": 20, "D": 6}
    assert watch.reason("A") is watch.reason("B") is WaitReason.PREFILL_IN_PROGRESS
    assert set(watch.state.waits_by_sequence()["A"].holders) == {"C", "D"}
    assert watch.step() == {"A": 1, "B": 1, "C": 1, "D": 1}


def test_vllm_prefill_steps_keep_to_the_budget() -> None:
    watch = engine("vllm", max_num_batched_tokens=20)
    two_decodes_then(watch)
    assert watch.step() == {"C": 20}
    assert watch.reason("D") is WaitReason.TOKEN_BUDGET
    assert watch.step() == {"D": 6}


def test_orca_lets_a_whole_prompt_into_the_decodes_iteration() -> None:
    watch = engine("orca", max_num_batched_tokens=256)
    two_decodes_then(watch)
    assert watch.step() == {"A": 1, "B": 1, "C": 20, "D": 6}


def test_static_keeps_newcomers_out_until_the_batch_has_ended() -> None:
    watch = engine("static")
    two_decodes_then(watch)
    for _ in range(10):
        assert watch.step() == {"A": 1, "B": 1}
        if watch.engine.has_unfinished and watch.state.sequences["A"].phase != "finished":
            assert watch.reason("C") is watch.reason("D") is WaitReason.BATCH_NOT_FINISHED
            assert watch.state.waits_by_sequence()["C"].holders == ("A", "B")
    assert watch.step() == {"C": 20, "D": 6}


def test_decode_first_lets_nobody_in_while_enough_decode() -> None:
    """With four places, two decodes are enough: C and D wait until one of them has ended."""
    watch = engine("decode_first", max_num_seqs=4)
    add(watch.engine, "A", 3, 6)
    add(watch.engine, "B", 3, 12)
    watch.step()
    add(watch.engine, "C", 20, 3)
    add(watch.engine, "D", 6, 3)
    for _ in range(5):
        assert watch.step() == {"A": 1, "B": 1}
        if watch.state.sequences["A"].phase != "finished":
            assert watch.reason("C") is watch.reason("D") is WaitReason.LOWER_PRIORITY
            assert watch.state.waits_by_sequence()["C"].holders == ("A", "B")
    assert watch.step() == {"B": 1, "C": 20, "D": 6}


def test_splitfuse_passes_are_of_constant_size() -> None:
    """DeepSpeed-FastGen: every pass is filled exactly; the last ones only are smaller."""
    watch = engine("splitfuse", max_num_batched_tokens=10)
    two_decodes_then(watch)
    assert watch.step() == {"A": 1, "B": 1, "C": 8}
    assert watch.step() == {"A": 1, "B": 1, "C": 8}
    assert watch.step() == {"A": 1, "B": 1, "C": 4, "D": 4}
    assert watch.step() == {"A": 1, "B": 1, "C": 1, "D": 2}


def test_splitfuse_begins_a_prompt_before_there_is_room_for_all_of_it() -> None:
    started: dict[str, bool] = {}
    for scheduler in ("sarathi", "splitfuse"):
        watch = engine(scheduler, num_blocks=12, max_num_batched_tokens=10)
        add(watch.engine, "A", 18, 4)  # 5 blocks of 11; then 6 are free
        watch.step()
        add(watch.engine, "B", 28, 2)  # needs 7
        watch.step()
        started[scheduler] = watch.step().get("B", 0) > 0
        watch.run()
    assert started == {"sarathi": False, "splitfuse": True}


def test_priority_pauses_the_outranked_who_keep_their_blocks() -> None:
    watch = engine("priority", max_num_seqs=1)
    add_with_priority(watch, "low", 5, 6, 1)
    watch.step()
    add_with_priority(watch, "high", 5, 3, 0)
    assert watch.step() == {"high": 5}
    assert watch.reason("low") is WaitReason.LOWER_PRIORITY
    assert watch.state.waits_by_sequence()["low"].holders == ("high",)
    assert watch.state.sequences["low"].blocks
    watch.step()
    watch.step()
    assert watch.step() == {"low": 1}  # it goes on where it was: nothing is computed again
    assert not any(isinstance(e, Preempted) for s in watch.steps for e in s.events)


def test_priority_takes_blocks_from_the_lowest_first() -> None:
    watch = engine("priority", num_blocks=10)
    for name, priority in (("low", 2), ("middle", 1)):
        add_with_priority(watch, name, 12, 4, priority)
    watch.step()
    add_with_priority(watch, "high", 14, 2, 0)  # 4 blocks, 2 or 3 of them free
    assert watch.step() == {"high": 14, "middle": 1}
    assert [e for e in watch.steps[-1].events if isinstance(e, Preempted)] == [
        Preempted("low", "high")
    ]
    assert watch.reason("low") is WaitReason.PREEMPTED


def test_srtf_lets_the_short_overtake_and_sjf_only_among_the_waiting() -> None:
    ends: dict[str, list[str]] = {}
    for scheduler in ("srtf", "sjf", "sarathi"):
        watch = engine(scheduler, max_num_seqs=1)
        left: list[str] = []
        watch.engine.hooks.on("finished", lambda output, left=left: left.append(output.request_id))
        add(watch.engine, "first", 3, 20)
        watch.step()
        add(watch.engine, "long", 3, 12)
        add(watch.engine, "short", 3, 2)
        watch.run()
        ends[scheduler] = left
    assert ends == {
        "srtf": ["short", "long", "first"],
        "sjf": ["first", "short", "long"],
        "sarathi": ["first", "long", "short"],
    }


def test_lightllm_learns_from_the_past_and_its_baselines_do_not() -> None:
    """Past-future: answers are short, but everybody asks for up to 100 tokens. Conservative
    believes max_tokens and runs few; past-future has learnt better; aggressive fills memory."""
    most: dict[str, int] = {}
    for scheduler in ("lightllm_conservative", "lightllm", "lightllm_aggressive"):
        watch = Watch(fake_engine(scheduler, num_blocks=400, block_size=1, model_max_len=200))
        watch.engine.eos_token_ids = frozenset()
        rows: list[int] = []
        for index in range(60):
            watch.engine.add_request(
                [1] * 10, SamplingParams(max_tokens=100), true_output_len=4 + index % 5
            )
        while watch.engine.has_unfinished:
            watch.step()
            rows.append(len(watch.state.batch))
        most[scheduler] = max(rows)
    assert most["lightllm_conservative"] <= 400 // 109
    assert most["lightllm_conservative"] < most["lightllm"] < most["lightllm_aggressive"]


def add_with_priority(watch: Watch, name: str, prompt: int, output: int, priority: int) -> None:
    watch.engine.add_request(
        [hash_free(name)] * prompt,
        SamplingParams(temperature=0, max_tokens=output, ignore_eos=True),
        request_id=name,
        priority=priority,
    )


def test_iteration_level_scheduling_saves_the_dead_slots() -> None:
    """Orca, section 3: outputs of 2, 4 and 6 tokens cost a static batch 6 iterations of three
    slots, 18 in all; released at once they cost 2 + 4 + 6 = 12."""
    slots = {}
    for scheduler in ("static", "orca"):
        watch = engine(scheduler)
        for name, output in (("A", 2), ("B", 4), ("C", 6)):
            add(watch.engine, name, 3, output)
        used = 0
        while watch.engine.has_unfinished:
            watch.step()
            used += len(watch.state.batch)
        slots[scheduler] = used
    assert slots == {"static": 18, "orca": 12}


def test_a_static_batch_releases_everybody_at_once() -> None:
    watch = engine("static")
    for name, output in (("A", 2), ("B", 5)):
        add(watch.engine, name, 3, output)
    left: list[str] = []
    watch.engine.hooks.on("finished", lambda output: left.append(output.request_id))
    for _ in range(4):
        watch.step()
    assert left == []
    assert watch.state.sequences["A"].phase == "done"
    watch.step()
    assert left == ["A", "B"]


def test_reserving_systems_hold_the_maximum_and_never_preempt() -> None:
    for scheduler in ("orca", "static"):
        watch = engine(scheduler, num_blocks=10)
        add(watch.engine, "A", 5, 20)  # 24 slots: 6 blocks
        add(watch.engine, "B", 5, 20)
        watch.step()
        assert len(watch.state.sequences["A"].blocks) == 6
        assert watch.reason("B") is WaitReason.NO_KV_BLOCKS
        wait = watch.state.waits_by_sequence()["B"]
        assert (wait.needs, wait.free) == (6, 4)
        watch.run()
        assert not any(isinstance(e, Preempted) for s in watch.steps for e in s.events)


@pytest.mark.parametrize("scheduler", ["vllm", "sarathi"])
def test_the_last_to_arrive_is_preempted_and_returns_first(scheduler: str) -> None:
    watch = engine(scheduler, num_blocks=7)
    for name in "ABC":
        add(watch.engine, name, 7, 16)
    victims: list[str] = []
    while watch.engine.has_unfinished:
        watch.step()
        for event in watch.steps[-1].events:
            if isinstance(event, Preempted):
                victims.append(event.id)
                assert watch.reason(event.id) is WaitReason.PREEMPTED
                assert watch.state.sequences[event.id].computed == 0
    assert victims
    assert "A" not in victims  # the first to arrive always goes on


def test_nobody_is_admitted_past_a_preempted_request() -> None:
    watch = engine("sarathi", num_blocks=8)
    for name in "ABC":
        add(watch.engine, name, 7, 16)
    while not any(isinstance(e, Preempted) for s in watch.steps[-1:] for e in s.events):
        watch.step()
    add(watch.engine, "Z", 1, 2)
    while watch.state.sequences.get("C") and watch.state.sequences["C"].phase == "waiting":
        watch.step()
        if watch.state.sequences["C"].phase == "waiting":
            assert watch.state.sequences["Z"].phase == "waiting"


def test_admission_leaves_the_watermark_to_those_who_run() -> None:
    watch = engine("sarathi", num_blocks=100, block_size=1)
    add(watch.engine, "A", 60, 2)
    add(watch.engine, "B", 40, 2)  # 40 are free, but one is the watermark
    watch.step()
    wait = watch.state.waits_by_sequence()["B"]
    assert (wait.reason, wait.needs, wait.free) == (WaitReason.NO_KV_BLOCKS, 40, 39)


def test_a_recomputation_longer_than_the_budget_is_split() -> None:
    """vllm never splits a prompt; one that grew past the budget before it was preempted must be,
    or it would wait for ever."""
    watch = engine("vllm", num_blocks=12, max_num_batched_tokens=10, max_num_seqs=4)
    for name in "AB":
        add(watch.engine, name, 10, 30)
    assert watch.run() < 200
    assert any(isinstance(e, Preempted) for s in watch.steps for e in s.events)
    assert all(sum(n for _, n in s.prefills) <= 10 for s in watch.steps)


def test_a_prefix_hit_costs_no_budget() -> None:
    watch = engine("sarathi", enable_prefix_caching=True, max_num_batched_tokens=10)
    add(watch.engine, "A", 8, 8)
    watch.step()
    add(watch.engine, "A2", 9, 2)
    prompt = [hash_free("A")] * 9
    watch.engine.abort("A2")
    watch.engine.add_request(prompt, SamplingParams(max_tokens=2), request_id="B")
    assert watch.step() == {"A": 1, "B": 1}
    assert watch.state.sequences["B"].cached_tokens == 8


def test_every_reason_a_system_gives_is_declared() -> None:
    for name, system in SYSTEMS.items():
        seen: set[WaitReason] = set()
        for blocks in (9, 30):
            watch = engine(name, num_blocks=blocks, max_num_batched_tokens=12, max_num_seqs=3)
            for index in range(6):
                add(watch.engine, f"r{index}", 3 + 4 * (index % 3), 9)
            while watch.engine.has_unfinished:
                watch.step()
                seen |= {wait.reason for wait in watch.state.waits_by_sequence().values()}
        assert seen <= set(system.reasons), name


def test_the_longest_waiting_name_is_helped() -> None:
    with pytest.raises(ConfigError, match=r"unknown scheduler 'sarati'. Did you mean 'sarathi'"):
        make_scheduler("sarati")
    with pytest.raises(ConfigError, match="pass an instance"):
        make_scheduler(Scheduler)  # type: ignore[arg-type]


def test_a_policy_of_ones_own_in_three_lines() -> None:
    class ShortestPromptFirst(Scheduler):
        def key(self, request, now):  # type: ignore[no-untyped-def]
            return request.num_prompt_tokens

    watch = Watch(
        fake_engine(
            ShortestPromptFirst(),
            executor=CheckingExecutor(4),
            block_size=4,
            num_blocks=64,
            max_num_batched_tokens=10,
        )
    )
    add(watch.engine, "long", 30, 2)
    add(watch.engine, "short", 4, 2)
    assert watch.step() == {"short": 4, "long": 6}
    assert watch.engine.scheduler.name == "ShortestPromptFirst"


def test_a_static_batch_must_reserve_its_memory() -> None:
    with pytest.raises(ConfigError, match="give it admission=ReserveMax"):
        Scheduler(batching=RunToCompletion())

    class Hold(Scheduler):
        def release(
            self, running: Sequence[Request], ended: Sequence[Request]
        ) -> Sequence[Request]:
            return ended if len(ended) == len(running) else ()

    with pytest.raises(ConfigError, match="give it admission=ReserveMax"):
        Hold()


def test_a_policy_that_asks_for_everyone_leaves_one_reason_for_the_group() -> None:
    class AskEveryone(Scheduler):
        def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
            plan.decode_all()
            for request in waiting:
                plan.admit(request)

    engine = fake_engine(AskEveryone(), num_blocks=4, block_size=4, max_num_batched_tokens=64)
    for _ in range(4):
        engine.add_request([1] * 9, SamplingParams(max_tokens=2))
    step = engine.step()
    assert step is not None
    assert step.waits is not None
    who = [wait.who for wait in step.waits]
    assert len(who) == len(set(who))


def test_a_prompt_goes_on_beside_one_admitted_before_it() -> None:
    class NewcomersFirst(Scheduler):
        def compose(self, plan: Plan, waiting: Iterable[Request]) -> None:
            plan.admit_in_order(waiting)
            plan.continue_prefills()

    engine = fake_engine(NewcomersFirst(), max_num_batched_tokens=8)
    add(engine, "long", 20, 1)
    first = engine.step()
    add(engine, "short", 3, 1)
    second = engine.step()
    assert first is not None
    assert second is not None
    assert first.prefills == (("long", 8),)
    assert second.prefills == (("short", 3), ("long", 5))
