"""Published trace formats: every row is a request or an error with its line number."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from minillm import simulate
from minillm.workload import (
    RequestSpec,
    TraceFileError,
    read_azure,
    read_burstgpt,
    read_mooncake,
    read_sharegpt,
    read_splitwise,
    read_vidur,
)

# Beside the checkout, where somebody has put the published traces.
DATA = Path(__file__).parents[3] / "shared" / "data"

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 23:59:59.9799600,4808,10
2023-11-17 00:00:00.0319601,3180,8
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,GPT-4,1087,230,1317,API log
"""
BURSTGPT_SESSIONS = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,\
Total tokens,Log Type
5.5,s1,2.5,ChatGPT,472,18,490,Conversation log
"""
VIDUR = """arrived_at,num_prefill_tokens,num_decode_tokens
1.25,100,20
0.25,50,10
"""
SPLITWISE = """request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,\
token_size
0,2,7,0.0,1,374,44
"""
MOONCAKE = """{"timestamp": 0, "input_length": 1300, "output_length": 52, "hash_ids": [46, 47, 48]}
{"timestamp": 1500, "input_length": 700, "output_length": 9, "hash_ids": [46, 47]}
"""
SHAREGPT = json.dumps(
    [
        {
            "id": "a",
            "conversations": [
                {"from": "human", "value": "one two three"},
                {"from": "gpt", "value": "four five"},
                {"from": "human", "value": "six"},
            ],
        },
    ]
)


def words(text: str) -> int:
    return len(text.split())


def read_words(path: Path, **options: bool) -> list[RequestSpec]:
    return read_sharegpt(path, words, **options)


def rows(workload: list[RequestSpec]) -> list[tuple]:
    return [(s.arrival_time, s.prompt_len, s.output_len, s.client) for s in workload]


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (read_azure, AZURE, [(0, 4808, 10, None), (pytest.approx(0.0520001), 3180, 8, None)]),
        (read_burstgpt, BURSTGPT, [(0, 472, 18, "ChatGPT"), (40, 1087, 230, "GPT-4")]),
        (read_burstgpt, BURSTGPT_SESSIONS, [(0, 472, 18, "s1")]),
        (read_vidur, VIDUR, [(1.0, 100, 20, None), (0, 50, 10, None)]),
        (read_splitwise, SPLITWISE, [(0, 374, 44, "7")]),
        (read_mooncake, MOONCAKE, [(0, 1300, 52, None), (1.5, 700, 9, None)]),
        (read_words, SHAREGPT, [(0, 3, 2, None)]),
    ],
)
def test_formats(read: Callable, text: str, expected: list, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    assert rows(read(path)) == expected


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_azure, AZURE + "2023-11-17 00:00:01,12\n", r"line 4: a field is missing"),
        (read_azure, AZURE + "2023-11-17 00:00:01,12,3,4\n", r"line 4: fields too many: \['4'\]"),
        (read_azure, AZURE + "2023-11-17 00:00:01,twelve,3\n", r"line 4: invalid literal .*twelve"),
        (read_azure, AZURE + "yesterday,12,3\n", r"line 4: Invalid isoformat"),
        (read_azure, AZURE + "2023-11-17 00:00:01,12,0\n", r"line 4: no prompt or no output"),
        (read_azure, AZURE + "2023-11-17 00:00:01,-12,3\n", r"line 4: .*negative"),
        (read_azure, VIDUR, r"line 2: there is no field 'TIMESTAMP'"),
        (read_vidur, VIDUR + "nan,1,1\n", r"line 4: arrival nan is no time"),
        (read_splitwise, SPLITWISE + "1,2,7,0.5,4,3,4\n", r"line 3: batch_size 4 is not 1"),
        (read_mooncake, MOONCAKE + '{"timestamp": 1\n', r"line 3: "),
        (read_mooncake, MOONCAKE + "[]\n", r"line 3: "),
        (read_mooncake, MOONCAKE.replace("700", "7.5"), r"line 2: 7.5 is not a whole number"),
        (read_words, "{}", r"line 1: the file is not a JSON list"),
        (read_words, "[", r"line 1: "),
        (read_words, '[{"id": "a"}]', r"line 1: there is no field 'conversations'"),
        (read_words, '[{"conversations": []}]', r"line 1: no prompt or no output"),
    ],
)
def test_a_bad_row_is_told_with_its_line(
    read: Callable, text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(TraceFileError, match=f"{path} {message}"):
        read(path)


def test_empty_rows_are_left_out_only_when_asked_and_told(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(BURSTGPT + "50,GPT-4,20,0,20,API log\n60,GPT-4,20,5,25,API log\n")
    with pytest.warns(UserWarning, match="1 requests .* left out, the first in line 4; 3 are kept"):
        workload = read_burstgpt(path, skip_empty=True)
    assert [s.arrival_time for s in workload] == [0, 40, 55]


def test_mooncake_requests_share_their_blocks(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(MOONCAKE)
    trace = simulate(read_mooncake(path))
    assert [r.cached_tokens for r in trace.requests] == [0, 688]


PUBLISHED = [
    ("azure_llm_2023_conv.csv", 19_366, (1155, 1020), (211, 129), 5.53),
    ("azure_llm_2023_code.csv", 8_819, (2048, 1469), (27.9, 13), 2.57),
]
HERE = [row for row in PUBLISHED if (DATA / row[0]).is_file()]

if HERE:

    @pytest.mark.parametrize(("name", "count", "prompt", "output", "rate"), HERE)
    def test_the_published_azure_traces(
        name: str, count: int, prompt: tuple, output: tuple, rate: float
    ) -> None:
        workload = read_azure(DATA / name)
        assert len(workload) == count
        assert count / workload[-1].arrival_time == pytest.approx(rate, rel=2e-3)
        for field, (mean, median) in (("prompt_len", prompt), ("output_len", output)):
            values = [getattr(spec, field) for spec in workload]
            assert statistics.mean(values) == pytest.approx(mean, rel=2e-3)
            assert statistics.median(values) == median
