"""LLM: prompts in, completions out, on the pocket model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from minillm import LLM, ConfigError, RequestRejected, SamplingParams
from minillm.request import RequestOutput

GREEDY = SamplingParams(temperature=0, max_tokens=12)
STORY = [{"role": "user", "content": "Tell me a short story about a fox and a lantern."}]


@pytest.fixture(scope="module")
def llm() -> LLM:
    return LLM("pocket", device="cpu", dtype="float32", num_blocks=400)


def test_outputs_come_in_the_order_of_the_prompts(llm: LLM) -> None:
    prompts = ["The fox", "Once upon a time there was", "A"]
    together = llm.generate(prompts, GREEDY)
    assert [o.prompt for o in together] == prompts
    for prompt, output in zip(prompts, together, strict=True):
        (alone,) = llm.generate(prompt, GREEDY)
        assert alone.outputs[0].token_ids == output.outputs[0].token_ids
        assert alone.outputs[0].text == output.outputs[0].text


def test_text_is_what_the_tokens_say(llm: LLM) -> None:
    (output,) = llm.chat(STORY, GREEDY)
    tokenizer = llm.loaded.tokenizer
    assert tokenizer is not None
    expected = tokenizer.decode(output.outputs[0].token_ids, skip_special_tokens=True)
    assert output.outputs[0].text == expected
    assert output.finished
    assert output.metrics.ttft is not None
    assert 0 < output.metrics.ttft <= (output.metrics.e2el or 0)


def test_token_ids_and_text_prompts_mean_the_same(llm: LLM) -> None:
    tokenizer = llm.loaded.tokenizer
    assert tokenizer is not None
    ids = tokenizer("The fox")["input_ids"]
    (a,) = llm.generate("The fox", GREEDY)
    (b,) = llm.generate(ids, GREEDY)
    (c,) = llm.generate([ids], GREEDY)
    (d,) = llm.generate(np.array(ids), GREEDY)  # type: ignore[arg-type]
    assert a.outputs[0].token_ids == b.outputs[0].token_ids == c.outputs[0].token_ids
    assert d.outputs[0].token_ids == a.outputs[0].token_ids


def test_streaming_grows_to_the_same_text(llm: LLM) -> None:
    (whole,) = llm.chat(STORY, GREEDY)
    parts = list(llm.stream(STORY, GREEDY))
    assert [len(p.outputs[0].token_ids) for p in parts] == sorted(
        len(p.outputs[0].token_ids) for p in parts
    )
    texts = [p.outputs[0].text for p in parts]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert texts[-1] == whole.outputs[0].text
    assert parts[-1].finished


def test_leaving_a_stream_aborts_its_request(llm: LLM) -> None:
    for _ in llm.stream("The fox", SamplingParams(max_tokens=50, ignore_eos=True)):
        break
    assert not llm.engine.has_unfinished
    assert llm.trace.requests[-1].finish_reason == "abort"


def test_a_stream_is_not_confused_by_other_requests(llm: LLM) -> None:
    stream = llm.stream("The fox", GREEDY)
    next(stream)
    (other,) = llm.generate("A bear", SamplingParams(temperature=0, max_tokens=2))
    last = list(stream)[-1]
    assert last.prompt == "The fox"
    assert other.prompt == "A bear"
    assert last.finished


def test_progress_is_told_and_its_failure_reaches_the_caller(llm: LLM) -> None:
    told: list[tuple[int, int]] = []
    llm.generate(["a", "b"], GREEDY, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2, 2)

    def bad(done: int, total: int) -> None:
        raise RuntimeError("progress")

    with pytest.raises(RuntimeError, match="progress"):
        llm.generate(["a", "b"], GREEDY, on_progress=bad)
    assert not llm.engine.has_unfinished


def test_a_stop_string_ends_the_text_before_it(llm: LLM) -> None:
    (free,) = llm.chat(STORY, SamplingParams(temperature=0, max_tokens=30))
    text = free.outputs[0].text
    stop = text[6:9]
    (stopped,) = llm.chat(STORY, SamplingParams(temperature=0, max_tokens=30, stop=(stop,)))
    completion = stopped.outputs[0]
    assert completion.text == text[: text.index(stop)]
    assert (completion.finish_reason, completion.stop_reason) == ("stop", stop)
    shown = [
        p.outputs[0].text for p in llm.stream(STORY, SamplingParams(temperature=0, stop=(stop,)))
    ]
    assert all(completion.text.startswith(part) for part in shown)


def test_a_seeded_draw_does_not_depend_on_neighbours(llm: LLM) -> None:
    seeded = SamplingParams(temperature=1.0, seed=7, max_tokens=20, ignore_eos=True)
    (alone,) = llm.generate("The fox", seeded)
    crowd = llm.generate(["A", "The fox", "Once"], [GREEDY, seeded, SamplingParams(max_tokens=20)])
    assert crowd[1].outputs[0].token_ids == alone.outputs[0].token_ids
    other = SamplingParams(temperature=1.0, seed=8, max_tokens=20, ignore_eos=True)
    assert llm.generate("The fox", other)[0].outputs[0].token_ids != alone.outputs[0].token_ids


def test_preemption_changes_no_draw() -> None:
    sampling = SamplingParams(temperature=1.0, max_tokens=40, ignore_eos=True)
    prompts = ["The fox", "Once upon a time", "A bear"]

    def run(num_blocks: int) -> tuple[list[list[int]], int]:
        llm = LLM("pocket", num_blocks=num_blocks, block_size=8, enable_prefix_caching=False)
        outputs = llm.generate(prompts, sampling)
        tokens = [o.outputs[0].token_ids for o in outputs]
        return tokens, sum(o.metrics.num_preemptions for o in outputs)

    ample, none = run(64)
    tight, some = run(9)
    assert (none, some > 0) == (0, True)
    assert ample == tight


def test_logprobs_come_with_every_token(llm: LLM) -> None:
    (output,) = llm.generate("The fox", SamplingParams(temperature=0, max_tokens=5, logprobs=3))
    completion = output.outputs[0]
    assert completion.logprobs is not None
    assert len(completion.logprobs) == len(completion.token_ids)
    for token, alternatives in zip(completion.token_ids, completion.logprobs, strict=True):
        assert alternatives[token].rank == 1  # greedy
        assert 3 <= len(alternatives) <= 4
        assert all(entry.logprob <= alternatives[token].logprob for entry in alternatives.values())


def test_several_answers_stream_side_by_side(llm: LLM) -> None:
    several = SamplingParams(n=3, temperature=1.0, seed=4, max_tokens=6, ignore_eos=True)
    parts = list(llm.stream("The fox", several))
    written = [[len(c.token_ids) for c in part.outputs] for part in parts]
    assert written[:2] == [[1, 1, 1], [2, 2, 2]]
    assert written[-1] == [6, 6, 6]
    (whole,) = llm.generate("The fox", several)
    assert [c.token_ids for c in parts[-1].outputs] == [c.token_ids for c in whole.outputs]
    narrow = LLM(llm.loaded, num_blocks=40, max_num_seqs=1)
    written = [
        [len(c.token_ids) for c in part.outputs] for part in narrow.stream("The fox", several)
    ]
    totals = [sum(each) for each in written]
    assert totals == sorted(set(totals))  # something new each time
    assert len({tuple(each) for each in written}) > 10


def test_a_failure_of_one_answer_is_told(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = LLM(llm.loaded, num_blocks=40, max_num_seqs=1)
    execute, steps = narrow.engine.executor.execute, []

    def fail_late(rows, moves):  # type: ignore[no-untyped-def]
        steps.append(len(rows))
        if len(steps) == 8:  # the first answer is complete, the second is being written
            raise RuntimeError("planned")
        return execute(rows, moves)

    monkeypatch.setattr(narrow.engine.executor, "execute", fail_late)
    sampling = SamplingParams(n=2, temperature=0, max_tokens=5, ignore_eos=True)
    with pytest.raises(RuntimeError, match="1 of 1 requests failed in the model"):
        narrow.generate("The fox", sampling)


def test_chinese_comes_back_whole(llm: LLM) -> None:
    tokenizer = llm.loaded.tokenizer
    assert tokenizer is not None
    for text in ("今天天气很好。", "🦊 and 🏮"):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    (output,) = llm.generate("今天天气很好。", GREEDY)
    assert output.prompt == "今天天气很好。"


def test_a_bad_prompt_is_named_before_anything_runs(llm: LLM) -> None:
    steps = len(llm.trace.steps)
    with pytest.raises(RequestRejected, match=r"prompt 1: the prompt has [\d,]+ tokens"):
        llm.generate(["fine", "long " * 5000], GREEDY)
    with pytest.raises(RequestRejected, match="prompt 0: the prompt is empty"):
        llm.generate([[]], GREEDY)
    with pytest.raises(ValueError, match="token id 999999 is outside the vocabulary"):
        llm.generate([[1, 999999]], GREEDY)
    with pytest.raises(ValueError, match="2 sampling parameters for 1 prompts"):
        llm.generate(["a"], [GREEDY, GREEDY])
    with pytest.raises(ValueError, match=r"whole-number token ids, got 1\.5"):
        llm.generate([[1.5]], GREEDY)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="not valid Unicode"):
        llm.generate("\ud800", GREEDY)
    with pytest.raises(ValueError, match="exactly role and content"):
        llm.chat([{"role": "user"}])
    assert len(llm.trace.steps) == steps


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheduler": "fifo"}, "unknown scheduler 'fifo'"),
        ({"num_blocks": 0}, "num_blocks must be at least 1"),
        ({"attention_backend": "flash"}, "unknown attention_backend 'flash'"),
        ({"kv_cache": "pages"}, "unknown kv_cache 'pages'"),
        ({"block_size": "16"}, "block_size must be a whole number, got '16'"),
        ({"num_blocks": 10**12}, "a KV pool of 1,000,000,000,000 blocks takes"),
        ({"gpu_memory_utilization": 90}, r"gpu_memory_utilization must be in \(0, 1\], got 90"),
        ({"enable_prefix_caching": "no"}, "enable_prefix_caching must be True, False or None"),
        ({"seed": "a"}, "seed must be a whole number"),
        ({"dtype": "bfloat16"}, "loaded already"),
    ],
)
def test_impossible_settings_are_refused(llm: LLM, settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LLM(llm.loaded, **settings)


def test_hostile_text_is_only_text(llm: LLM) -> None:
    hostile = "<script>alert(1)</script>\x00\x1b[31m \u202e\ud7ff ${x} {{y}}"
    (output,) = llm.generate(hostile, GREEDY)
    assert output.prompt == hostile
    assert output.finished


def test_the_trace_tells_of_every_request(llm: LLM) -> None:
    before = len(llm.trace.requests)
    outputs: list[RequestOutput] = llm.generate(["The fox", "A bear"], GREEDY)
    records = llm.trace.requests[before:]
    assert [r.id for r in records] == [o.request_id for o in outputs]
    assert [r.output_len for r in records] == [len(o.outputs[0].token_ids) for o in outputs]
    assert [r.text for r in records] == [o.outputs[0].text for o in outputs]
