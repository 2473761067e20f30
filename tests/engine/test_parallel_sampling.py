"""`SamplingParams.n`: several answers to one prompt, which is computed once."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import EOS, CheckingExecutor, expected_output, fake_engine

from minillm import LLM, SamplingParams
from minillm.engine import Engine
from minillm.events import Finished, Forked, Preempted
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.request import RequestOutput
from minillm.scheduling import SYSTEMS

SAMPLED = SamplingParams(n=4, temperature=1.0, seed=11, max_tokens=16, ignore_eos=True)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load_model("pocket", device="cpu", dtype="float32")


def answers(output: RequestOutput) -> list[list[int]]:
    return [completion.token_ids for completion in output.outputs]


def make(loaded: LoadedModel, **settings: Any) -> LLM:
    return LLM(loaded, **{"num_blocks": 64, "block_size": 8, **settings})


# ---- what is sampled -------------------------------------------------------------------------


def test_the_answers_differ_and_come_again(loaded: LoadedModel) -> None:
    (first,) = make(loaded).generate("The fox", SAMPLED)
    (again,) = make(loaded).generate("The fox", SAMPLED)
    found = answers(first)
    assert len({tuple(tokens) for tokens in found}) == 4
    assert answers(again) == found
    assert [c.index for c in first.outputs] == [0, 1, 2, 3]
    assert [len(tokens) for tokens in found] == [16] * 4
    assert {c.finish_reason for c in first.outputs} == {"length"}
    assert first.finished
    tokenizer = loaded.tokenizer
    assert tokenizer is not None
    for completion in first.outputs:
        assert completion.text == tokenizer.decode(completion.token_ids, skip_special_tokens=True)


def test_the_first_answer_is_that_of_a_request_for_one(loaded: LoadedModel) -> None:
    llm = make(loaded)
    one = SamplingParams(temperature=1.0, seed=11, max_tokens=16, ignore_eos=True)
    (alone,), (several,) = llm.generate("The fox", one), llm.generate("The fox", SAMPLED)
    assert answers(several)[0] == answers(alone)[0]


def test_without_a_seed_each_request_draws_its_own(loaded: LoadedModel) -> None:
    unseeded = SamplingParams(n=3, temperature=1.0, max_tokens=16, ignore_eos=True)
    outputs = make(loaded).generate(["The fox", "The fox"], unseeded)
    assert len({tuple(tokens) for output in outputs for tokens in answers(output)}) == 6


@pytest.mark.parametrize(
    "settings",
    [
        {"num_blocks": 8},
        {"num_blocks": 8, "preemption": "swap"},
        {"num_blocks": 60, "kv_cache": "token", "block_size": 1, "preemption": "swap"},
        {"num_blocks": 16, "kv_cache": "contiguous", "scheduler": "orca"},
        {"num_blocks": 8, "scheduler": "vllm", "enable_prefix_caching": False},
        {"max_num_seqs": 2},
    ],
    ids=str,
)
def test_memory_and_neighbours_change_no_draw(loaded: LoadedModel, settings: Any) -> None:
    (alone,) = make(loaded).generate("The fox", SAMPLED)
    greedy = SamplingParams(temperature=0, max_tokens=16, ignore_eos=True)
    llm = make(loaded, **settings)
    crowd = llm.generate(["A", "The fox", "Once upon a time"], [greedy, SAMPLED, greedy])
    assert answers(crowd[1]) == answers(alone)
    assert sum(output.metrics.num_preemptions for output in crowd) > 0 or "contiguous" in str(
        settings
    )
    llm.engine.kv_cache.check()


def test_every_answer_has_its_logprobs(loaded: LoadedModel) -> None:
    sampling = SamplingParams(n=3, temperature=1.0, seed=3, max_tokens=5, logprobs=2)
    (output,) = make(loaded).generate("The fox", sampling)
    firsts = []
    for completion in output.outputs:
        assert completion.logprobs is not None
        assert len(completion.logprobs) == len(completion.token_ids)
        for token, entry in zip(completion.token_ids, completion.logprobs, strict=True):
            assert token in entry
        firsts.append(completion.logprobs[0])
    ranked = [{token: e for token, e in first.items() if e.rank <= 2} for first in firsts]
    assert ranked[0] == ranked[1] == ranked[2]  # of the prompt's one distribution


def test_each_answer_pays_for_its_own_repetitions(loaded: LoadedModel) -> None:
    def run(n: int) -> list[list[int]]:
        sampling = SamplingParams(
            n=n, temperature=1.0, seed=5, max_tokens=20, frequency_penalty=2.0, ignore_eos=True
        )
        return answers(make(loaded).generate("The fox", sampling)[0])

    assert run(3)[:2] == run(2)


# ---- seats, memory and the order of things ---------------------------------------------------


def finished_in(engine: Engine) -> dict[str, RequestOutput]:
    """The outputs as they come; each once."""
    done: dict[str, RequestOutput] = {}

    def take(output: RequestOutput) -> None:
        assert output.request_id not in done
        done[output.request_id] = output

    engine.hooks.on("finished", take)
    return done


def serve(engine: Engine, limit: int = 2000) -> list[Any]:
    events: list[Any] = []
    while engine.has_unfinished:
        step = engine.step()
        assert step is not None
        events += [*step.events, *step.after]
        engine.kv_cache.check()
        limit -= 1
        assert limit, "no progress"
    return events


@pytest.mark.parametrize("scheduler", SYSTEMS)
@pytest.mark.parametrize("kv_cache", ["paged", "token", "contiguous"])
def test_more_answers_than_seats(scheduler: str, kv_cache: str) -> None:
    engine = fake_engine(
        scheduler,
        kv_cache=kv_cache,
        block_size=1 if kv_cache == "token" else 4,
        num_blocks=128 if kv_cache == "token" else 32,
        max_num_seqs=2,
        max_num_batched_tokens=32,
    )
    done = finished_in(engine)
    engine.add_request([1, 2, 3, 4, 5], SamplingParams(n=5, max_tokens=9, ignore_eos=True))
    engine.add_request([6, 7], SamplingParams(max_tokens=3, ignore_eos=True))
    events = serve(engine)
    expected = expected_output([1, 2, 3, 4, 5], 9, ignore_eos=True)
    assert answers(done["0"]) == [expected] * 5
    assert answers(done["1"]) == [expected_output([6, 7], 3, ignore_eos=True)]
    assert sum(isinstance(event, Forked) for event in events) == 4
    waited = any(isinstance(event, Preempted) for event in events)
    assert waited != engine.scheduler.preemption.by_rank  # there seats are those of one step
    assert engine.kv_cache.num_free_blocks == engine.config.num_blocks


def test_the_request_ends_when_its_last_answer_does() -> None:
    engine = fake_engine("sarathi", block_size=4, num_blocks=64, max_num_seqs=2)
    done = finished_in(engine)
    name = engine.add_request([1, 2, 3], SamplingParams(n=4, max_tokens=6, ignore_eos=True))
    ended: list[str] = []
    while engine.has_unfinished:
        assert not done
        partial = engine.output(name)
        assert partial is not None
        assert [c.index for c in partial.outputs] == [0, 1, 2, 3]
        step = engine.step()
        assert step is not None
        ended += [event.id for event in step.after if isinstance(event, Finished)]
        if len(ended) < 4 and ended:
            partial = engine.output(name)
            assert partial is not None
            assert not partial.finished
            reasons = [completion.finish_reason for completion in partial.outputs]
            assert sum(reason is not None for reason in reasons) == len(ended)
    assert sorted(ended) == ["0", "0.1", "0.2", "0.3"]
    assert ended[:2] == ["0", "0.1"]  # two seats: the others had to wait
    assert list(done) == ["0"]
    assert done["0"].finished
    assert engine.output(name) is None


def test_all_end_with_the_first_token() -> None:
    engine = fake_engine("sarathi", block_size=4, num_blocks=8, max_num_seqs=2)
    done = finished_in(engine)
    engine.add_request([1, 2, 3], SamplingParams(n=5, max_tokens=1))
    step = engine.step()
    assert step is not None
    assert not engine.has_unfinished
    assert answers(done["0"]) == [expected_output([1, 2, 3], 1)] * 5
    engine.kv_cache.check()
    assert engine.kv_cache.num_free_blocks == 8


def test_end_of_sequence_ends_each_answer() -> None:
    prompt = next([k] for k in range(200) if EOS in expected_output([k], 30)[1:])
    engine = fake_engine("vllm", block_size=4, num_blocks=32)
    done = finished_in(engine)
    engine.add_request(prompt, SamplingParams(n=3, max_tokens=30))
    serve(engine)
    assert answers(done["0"]) == [expected_output(prompt, 30)] * 3
    assert {c.finish_reason for c in done["0"].outputs} == {"stop"}


def test_a_static_batch_holds_the_slots_of_all_its_answers() -> None:
    engine = fake_engine("static", block_size=4, num_blocks=32, max_num_seqs=4)
    done = finished_in(engine)
    engine.add_request([1, 2, 3], SamplingParams(n=2, max_tokens=3, ignore_eos=True))
    engine.add_request([4, 5], SamplingParams(n=2, max_tokens=8, ignore_eos=True))
    for _ in range(4):
        engine.step()
    assert not done
    serve(engine)
    assert [len(output.outputs) for output in done.values()] == [2, 2]


# ---- abort and failure -----------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
@pytest.mark.parametrize("settings", [{}, {"max_num_seqs": 2}, {"num_blocks": 5}])
def test_an_abort_ends_all_answers(steps: int, settings: dict[str, Any]) -> None:
    """While it waits, in the middle of its prompt, with all running, and with some waiting."""
    defaults = {"block_size": 4, "num_blocks": 32, "max_num_batched_tokens": 4}
    engine = fake_engine("sarathi", **{**defaults, **settings})
    done = finished_in(engine)
    name = engine.add_request([1] * 6, SamplingParams(n=3, max_tokens=9, ignore_eos=True))
    for _ in range(steps):
        engine.step()
    assert engine.abort(name)
    assert not engine.abort(name)
    assert not engine.has_unfinished
    assert (len(engine.waiting), len(engine.running)) == (0, 0)
    assert [c.finish_reason for c in done[name].outputs] == ["abort"] * 3
    expected = expected_output([1] * 6, 9, ignore_eos=True)
    for tokens in answers(done[name]):
        assert tokens == expected[: len(tokens)]
    engine.kv_cache.check()
    assert engine.kv_cache.num_free_blocks == engine.config.num_blocks


def test_a_fork_cannot_be_aborted_by_itself() -> None:
    engine = fake_engine("sarathi", block_size=4, num_blocks=32)
    engine.add_request([1] * 6, SamplingParams(n=3, max_tokens=9))
    engine.step()
    assert not engine.abort("0.1")
    assert engine.has_unfinished


def test_when_the_model_fails_all_answers_do() -> None:
    engine = fake_engine("sarathi", executor=CheckingExecutor(4, fail_at=[0]), block_size=4)
    done = finished_in(engine)
    engine.add_request([1, 2, 3], SamplingParams(n=3, max_tokens=4))
    assert engine.step() is None
    assert not engine.has_unfinished
    assert [c.finish_reason for c in done["0"].outputs] == ["error"] * 3


# ---- names -----------------------------------------------------------------------------------


def test_the_ids_of_forks_are_taken_too() -> None:
    engine = fake_engine("sarathi", block_size=4, num_blocks=32)
    engine.add_request([1], SamplingParams(max_tokens=1), request_id="a.2")
    with pytest.raises(ValueError, match=r"'a' with n=3: 'a\.2', the id of a fork, was used"):
        engine.add_request([1], SamplingParams(n=3, max_tokens=1), request_id="a")
    engine.add_request([1], SamplingParams(n=2, max_tokens=1), request_id="a")
    with pytest.raises(ValueError, match=r"request id 'a\.1': an id is a string that was not used"):
        engine.add_request([1], SamplingParams(max_tokens=1), request_id="a.1")


def test_numbers_given_by_the_engine_avoid_the_ids_that_callers_chose() -> None:
    engine = fake_engine("sarathi", block_size=4, num_blocks=32)
    engine.add_request([1], SamplingParams(max_tokens=1), request_id="1.1")
    assert engine.add_request([1], SamplingParams(n=2, max_tokens=1)) == "2"


@pytest.mark.parametrize("n", [0, 257, 1.5, True])
def test_how_many_answers_there_can_be(n: Any) -> None:
    with pytest.raises(ValueError, match="n must be"):
        SamplingParams(n=n)
