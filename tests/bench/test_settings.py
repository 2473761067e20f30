"""Workloads by name: the same requests whatever the rate, and clear words for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minillm.bench import Reporting, WorkloadSettings, parse_limits
from minillm.config import ConfigError
from minillm.workload.lengths import DATASETS
from minillm.workload.readers import TraceFileError


def test_random_lengths_are_within_the_ratio_of_those_asked_for() -> None:
    asked = WorkloadSettings(
        num_prompts=400, random_input_len=100, random_output_len=10, random_range_ratio=0.25
    )
    requests = asked.requests()
    inputs, outputs = {r.prompt_len for r in requests}, {r.output_len for r in requests}
    assert (min(inputs), max(inputs)) == (75, 125)  # type: ignore[type-var]
    assert outputs == set(range(7, 14))
    exact = WorkloadSettings(num_prompts=3).requests()
    assert {(r.prompt_len, r.output_len) for r in exact} == {(1024, 128)}


def test_a_prefix_comes_before_each_prompt_and_is_shared() -> None:
    (one, two) = WorkloadSettings(num_prompts=2, random_prefix_len=64).requests()
    assert one.prompt_len == 1024 + 64
    assert one.content_ids(16) == two.content_ids(16)
    assert len(one.content_ids(16) or ()) == 4


@pytest.mark.parametrize("name", ["random", *DATASETS])
def test_a_rate_changes_the_arrivals_and_nothing_else(name: str) -> None:
    asked = WorkloadSettings(dataset_name=name, num_prompts=50, seed=3)
    slow, fast = asked.requests(1.0), asked.requests(4.0)
    assert [r.prompt_len for r in slow] == [r.prompt_len for r in fast]
    assert [r.arrival_time for r in slow] == pytest.approx([4 * r.arrival_time for r in fast])
    at_once = asked.requests(float("inf"))
    assert {r.arrival_time for r in at_once} == {0}
    assert [r.prompt_len for r in slow] == [r.prompt_len for r in at_once]


def test_without_a_rate_it_is_the_published_one_or_all_at_once(tmp_path: Path) -> None:
    azure = WorkloadSettings(dataset_name="azure_conv", num_prompts=9)
    assert azure.own_rate == DATASETS["azure_conv"].rate
    assert azure.requests() == azure.requests(azure.own_rate)
    assert azure.gap_burstiness == pytest.approx(1.09**-2)
    drawn = WorkloadSettings(num_prompts=9)
    assert (drawn.own_rate, drawn.gap_burstiness) == (float("inf"), 1.0)
    assert WorkloadSettings(dataset_name="custom", dataset_path=tmp_path).own_rate == float("inf")
    assert WorkloadSettings(dataset_name="azure", dataset_path=tmp_path).own_rate is None


def test_a_trace_keeps_its_times_unless_a_rate_is_given(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,5,1\n2,6,1\n9,7,1\n")
    asked = WorkloadSettings(dataset_name="vidur", dataset_path=path)
    assert [r.arrival_time for r in asked.requests()] == [0, 2, 9]
    assert [r.prompt_len for r in asked.requests(1.0)] == [5, 6, 7]
    assert [r.arrival_time for r in asked.requests(2.0)] == pytest.approx(
        [r.arrival_time / 2 for r in asked.requests(1.0)]
    )
    first_two = WorkloadSettings(dataset_name="vidur", dataset_path=path, num_prompts=2)
    assert len(first_two.requests()) == 2
    short = WorkloadSettings(dataset_name="vidur", dataset_path=path, max_total_len=6)
    assert [r.prompt_len for r in short.requests()] == [5, 5, 5]


def test_texts_are_served_as_texts_by_who_can_read(tmp_path: Path) -> None:
    path = tmp_path / "custom.jsonl"
    path.write_text('{"prompt": "Hello"}\n\n{"prompt": "One", "output_tokens": 3}\n')
    asked = WorkloadSettings(dataset_name="custom", dataset_path=path, custom_output_len=9)
    one, two = asked.requests(count_tokens=len)
    assert one.prompt == [{"role": "user", "content": "Hello"}]
    assert (one.max_tokens, two.max_tokens) == (9, 3)
    talk = [{"value": "four"}, {"value": "sixsix"}]
    chats = tmp_path / "sharegpt.json"
    chats.write_text(json.dumps([{"id": "a", "conversations": talk}]))
    shared = WorkloadSettings(dataset_name="sharegpt", dataset_path=chats)
    (request,) = shared.requests(count_tokens=len)
    assert (request.prompt_len, request.output_len) == (4, 6)
    with pytest.raises(ConfigError, match="sharegpt is text"):
        shared.requests()


@pytest.mark.parametrize(
    ("line", "why"), [('{"text": 3}', "no field 'prompt'"), ("{", "Expecting"), ("[]", "line 1")]
)
def test_a_bad_line_of_texts_is_named(line: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "custom.jsonl"
    path.write_text(line)
    with pytest.raises(TraceFileError, match="line 1") as caught:
        WorkloadSettings(dataset_name="custom", dataset_path=path).requests(count_tokens=len)
    assert why in str(caught.value)


def test_limits_are_names_and_milliseconds() -> None:
    assert parse_limits(["ttft:500", "tpot:0"]) == {"ttft": 500, "tpot": 0}
    for wrong in ("ttft", "ttft:fast", "ttft:nan", "itl:3"):
        with pytest.raises(ConfigError):
            parse_limits([wrong])


def test_the_common_prefix_counts_towards_the_longest_total() -> None:
    specs = WorkloadSettings(num_prompts=5, random_prefix_len=500, max_total_len=200).requests()
    assert all((spec.prompt_len or 0) + (spec.output_len or 0) <= 200 for spec in specs)


@pytest.mark.parametrize("burstiness", [0, 1e-9, float("inf"), float("nan")])
def test_a_burstiness_beyond_reason_is_refused(burstiness: float) -> None:
    with pytest.raises(ConfigError, match="burstiness must be between"):
        WorkloadSettings(num_prompts=5, burstiness=burstiness).requests()


@pytest.mark.parametrize("dataset", ["sharegpt", "vidur", "custom"])
@pytest.mark.parametrize(
    "setting",
    [
        {"random_input_len": 1024},  # its default, and yet asked for
        {"random_output_len": 9},
        {"random_range_ratio": 0.0},
        {"random_prefix_len": 0},
    ],
)
def test_lengths_to_draw_are_for_no_other_data_set(dataset: str, setting: dict) -> None:
    (name,) = setting
    with pytest.raises(ConfigError, match=f"{name} is for dataset_name 'random'; '{dataset}' has"):
        WorkloadSettings(dataset_name=dataset, **setting)


def test_output_tokens_of_texts_are_for_no_other_data_set() -> None:
    with pytest.raises(ConfigError, match="custom_output_len is for dataset_name 'custom'"):
        WorkloadSettings(custom_output_len=256)
    with pytest.raises(ConfigError, match="max_total_len is for requests given by length"):
        WorkloadSettings(dataset_name="custom", max_total_len=9)


def test_more_prompts_than_a_file_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,5,1\n2,6,1\n")
    asked = WorkloadSettings(dataset_name="vidur", dataset_path=path, num_prompts=3)
    with pytest.raises(ConfigError, match="num_prompts 3 is more than the 2 requests of"):
        asked.requests()


def test_a_burstiness_without_gaps_to_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,5,1\n2,6,1\n")
    asked = WorkloadSettings(dataset_name="vidur", dataset_path=path, burstiness=0.5)
    assert len(asked.requests(1.0)) == 2
    with pytest.raises(ConfigError, match="the file has times of its own"):
        asked.requests()
    drawn = WorkloadSettings(num_prompts=2, burstiness=0.5)
    assert len(drawn.requests(1.0)) == 2
    for rate in (None, float("inf")):
        with pytest.raises(ConfigError, match="at an infinite one all arrive at once"):
            drawn.requests(rate)


def test_what_is_said_of_a_file_needs_one() -> None:
    for name, value in {
        "label": "try",
        "result_dir": Path(),
        "result_filename": "r.json",
    }.items():
        assert getattr(Reporting(save_result=True, **{name: value}), name) == value
        with pytest.raises(ConfigError, match=f"{name} is for results that are saved"):
            Reporting(**{name: value})  # type: ignore[arg-type]
