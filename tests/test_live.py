"""LiveRun: the engine in its thread obeys play, pause, step, pace, submit and close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from fakes import CheckingExecutor, fake_engine

from minillm.live import FULL_SPEED, LiveRun
from minillm.request import RequestRejected, SamplingParams
from minillm.scheduling import Plan, Scheduler
from minillm.trace.recorder import Recorder
from minillm.trace.records import Header
from minillm.workload import RequestSpec, WorkloadDriver


class LetterTokenizer:
    """One token per character, as far as the engine can tell."""

    chat_template = None

    def __len__(self) -> int:
        return 50

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) % 50 for letter in text]}

    def decode(self, ids: list[int], **_: object) -> str:
        return "".join(chr(97 + i % 26) for i in ids)

    all_special_ids: tuple[int, ...] = ()


class Lazy(Scheduler):
    """Schedules nothing, ever."""

    def compose(self, plan: Plan, waiting: object) -> None:
        pass


def make(
    output_len: int = 60,
    *,
    executor: CheckingExecutor | None = None,
    pace: float = 0.0,
    scheduler: str | Scheduler = "sarathi",
) -> SimpleNamespace:
    engine = fake_engine(scheduler, executor=executor, num_blocks=40)
    engine.tokenizer = LetterTokenizer()
    driver = WorkloadDriver(engine, [RequestSpec(prompt_len=5, output_len=output_len)])
    config = engine.config
    header = Header(
        block_size=config.block_size,
        num_blocks=config.num_blocks,
        max_num_seqs=config.max_num_seqs,
        max_num_batched_tokens=config.max_num_batched_tokens,
        max_model_len=config.max_model_len,
    )
    recorder = Recorder(header)
    return SimpleNamespace(run=LiveRun(driver, recorder, pace=pace), recorder=recorder)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        threading.Event().wait(0.002)


@pytest.fixture
def live() -> Iterator[SimpleNamespace]:
    made = make()
    yield made
    made.run.close()
    assert not made.run.alive


def steps(live: SimpleNamespace) -> int:
    return len(live.recorder.trace.steps)


def test_it_starts_paused_and_steps_one_at_a_time(live: SimpleNamespace) -> None:
    assert steps(live) == 0
    for expected in (1, 2, 3):
        live.run.step()
        wait_until(lambda n=expected: steps(live) == n, f"{expected} steps are done")
    assert not live.run.playing


def test_several_steps_may_be_asked_for_at_once(live: SimpleNamespace) -> None:
    for _ in range(5):
        live.run.step()
    wait_until(lambda: steps(live) == 5, "five steps are done")


def test_play_runs_to_the_end_of_the_workload(live: SimpleNamespace) -> None:
    live.run.play()
    wait_until(lambda: live.run.idle, "the workload is served")
    assert steps(live) == 60


def test_pause_holds_the_engine_and_its_clock() -> None:
    gate = threading.Semaphore(0)

    class Gated(CheckingExecutor):
        def execute(self, rows, moves):  # type: ignore[no-untyped-def]
            gate.acquire()
            return super().execute(rows, moves)

    live = make(executor=Gated(16))
    live.run.play()
    gate.release()
    wait_until(lambda: steps(live) == 1, "one step is done")
    live.run.pause()
    for _ in range(20):  # the step in progress may end; were the engine free it would take all
        gate.release()
    wait_until(lambda: steps(live) == 2, "the step in progress is done")
    live.run.submit("hello", SamplingParams(max_tokens=3))
    live.run.step()
    wait_until(lambda: steps(live) == 3, "the step asked for is done")
    times = [step.start for step in live.recorder.trace.steps]
    assert times == [0, 10_000_000, 20_000_000]
    for _ in range(200):
        gate.release()
    live.run.close()
    assert steps(live) == 3


def test_pace_changes_no_figure() -> None:
    slow, fast = make(6, pace=200.0), make(6, pace=FULL_SPEED)
    for live in (slow, fast):
        live.run.play()
        wait_until(lambda live=live: live.run.idle, "the workload is served")
        live.run.close()
    assert slow.recorder.trace.steps == fast.recorder.trace.steps


def test_a_prompt_of_ones_own_is_served_among_the_others(live: SimpleNamespace) -> None:
    live.run.step()
    wait_until(lambda: steps(live) == 1, "a step is done")
    live.run.submit("hello", SamplingParams(temperature=0, max_tokens=3))
    live.run.play()
    wait_until(lambda: live.run.idle, "everything is served")
    mine = live.recorder.trace.requests[1]
    assert mine.prompt == "hello"
    assert mine.arrival == 10_000_000
    assert mine.output_len >= 1


def test_a_prompt_after_the_end_wakes_the_engine(live: SimpleNamespace) -> None:
    live.run.play()
    wait_until(lambda: live.run.idle, "the workload is served")
    live.run.submit("again", SamplingParams(max_tokens=2, ignore_eos=True))
    wait_until(lambda: steps(live) == 62, "the prompt is served")


def test_a_bad_prompt_is_refused_and_the_run_goes_on(live: SimpleNamespace) -> None:
    with pytest.raises(RequestRejected, match="the prompt is empty"):
        live.run.submit("", SamplingParams())
    with pytest.raises(RequestRejected, match="tokens"):
        live.run.submit("x" * 1000, SamplingParams())
    with pytest.raises(ValueError, match="not valid Unicode at character 1"):
        live.run.submit("a\ud800", SamplingParams())
    for pace in (-1, 1e-11, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="pace must be 0"):
            live.run.set_pace(pace)
    live.run.step()
    wait_until(lambda: steps(live) == 1, "a step is done")


def test_messages_reach_a_model_without_chat_template_as_text(live: SimpleNamespace) -> None:
    live.run.submit([{"role": "user", "content": "x"}], SamplingParams(max_tokens=1))
    live.run.play()
    wait_until(lambda: live.run.idle, "everything is served")
    assert live.recorder.trace.requests[0].prompt == "x"


def test_a_closed_run_says_so() -> None:
    live = make()
    live.run.close()
    with pytest.raises(RuntimeError, match="this run is closed"):
        live.run.submit("hello", SamplingParams())


def test_closing_ends_the_thread_and_the_recording() -> None:
    live = make(pace=5.0)
    live.run.play()
    wait_until(lambda: steps(live) >= 1, "a step is done")
    live.run.close()
    assert not live.run.alive
    closing = live.recorder.trace.closing
    assert closing is not None
    assert closing.closing == "stopped"


def test_a_failing_model_ends_its_requests_and_the_run_lives_on() -> None:
    live = make(executor=CheckingExecutor(16, fail_at=[2]))
    live.run.play()
    wait_until(lambda: live.run.idle, "the request has failed")
    live.run.submit("again", SamplingParams(max_tokens=2, ignore_eos=True))
    wait_until(lambda: steps(live) == 4, "the next request is served")
    assert live.run.problem is None
    live.run.close()


def test_a_policy_that_gets_stuck_is_told() -> None:
    live = make(scheduler=Lazy())
    live.run.play()
    wait_until(lambda: live.run.problem is not None, "the engine has stopped")
    assert "EngineStuck: scheduler 'Lazy' scheduled nothing" in str(live.run.problem)
    live.run.close()
    assert not live.run.alive
