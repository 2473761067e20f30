"""Narration: hand-made steps with the sentences they must give, and the stage beside ours."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from recorded_runs import MEMORIES, SWAPS, record

from minillm.events import Step
from minillm.messages import LANGUAGES
from minillm.scheduling import SYSTEMS
from minillm.trace import Header, State, Trace, apply
from minillm.trace.lines import decode
from minillm.trace.narrate import narrate, sentence

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = json.loads(
    (HERE / "narration_cases.json").read_text(encoding="utf-8")
)


def _trace(case: dict[str, Any]) -> Trace:
    steps = [decode(msgspec.json.encode(each)) for each in case["steps"]]
    return Trace(msgspec.convert(case["header"], Header), [s for s in steps if type(s) is Step])


def _marked(parts: list[dict[str, str]]) -> str:
    return "".join(part["text"] if "text" in part else f"[{part['id']}]" for part in parts)


def _told(trace: Trace, *languages: str) -> list[str]:
    """What each step is told as, in one language after the other."""
    state, told = State(trace.header.num_blocks), []
    for step in trace.steps:
        before = state.copy()
        apply(state, step)
        told += [
            _marked(narrate(before, step, state, trace.header, language)) for language in languages
        ]
    return told


def _told_by_the_stage(trace: Trace, folder: Path, *languages: str) -> list[str]:
    trace.save(folder / "run.jsonl")
    command = ["node", str(HERE / "narrate_in_node.mjs"), str(folder / "run.jsonl"), *languages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_hand_made_steps(case: dict[str, Any], tmp_path: Path) -> None:
    trace = _trace(case)
    assert _told(trace, "en") == case["sentences"]
    assert _told_by_the_stage(trace, tmp_path, "en") == case["sentences"]


@pytest.mark.parametrize("scheduler", sorted(SYSTEMS))
def test_the_stage_says_the_same(scheduler: str, tmp_path: Path) -> None:
    for seed, num_blocks, budget in ((0, 60, None), (1, 14, None), (2, 30, 24)):
        trace = record(
            scheduler,
            seed=seed,
            requests=25,
            num_blocks=num_blocks,
            max_num_batched_tokens=budget,
        ).trace
        told = _told(trace, *LANGUAGES)
        assert all(told), "a step without a sentence"
        assert told == _told_by_the_stage(trace, tmp_path, *LANGUAGES)


@pytest.mark.parametrize("scheduler", sorted(SYSTEMS))
def test_the_stage_says_the_same_of_forks_and_swaps(scheduler: str, tmp_path: Path) -> None:
    turn = sorted(SYSTEMS).index(scheduler)
    for number in range(3):
        memory = MEMORIES[(turn + number) % len(MEMORIES)]
        swap = SWAPS[1 + (turn + number) % 3]
        trace = record(
            scheduler,
            seed=turn + number,
            requests=20,
            num_blocks=14,
            fork=0.4,
            fail_at=[9],
            **memory,
            **swap,
        ).trace
        told = _told(trace, *LANGUAGES)
        assert all(told), "a step without a sentence"
        assert told == _told_by_the_stage(trace, tmp_path, *LANGUAGES)


def test_such_runs_tell_of_all_there_is() -> None:
    told = " ".join(
        sentence
        for scheduler in ("vllm", "orca")
        for num_blocks, seats in ((12, 5), (28, 8))
        for memory in MEMORIES
        for sentence in _told(
            record(
                scheduler,
                requests=20,
                num_blocks=num_blocks,
                max_num_seqs=seats,
                fork=0.4,
                **memory,
                **SWAPS[2],
            ).trace,
            "en",
        )
    )
    for words in (
        "to CPU memory", "comes back", "from CPU memory", "forks off", "no room yet for",
        "a run of", "computed again", " MB) move", " ms.",
    ):  # fmt: skip
        assert words in told


def test_a_sentence_is_plain_text() -> None:
    trace = _trace(CASES[0])
    before, after = trace.state_at(0), trace.state_at(1)
    assert sentence(before, trace.steps[1], after, trace.header) == (
        "Twelve decodes take 12 of 256 tokens; 7 prefills 244 of its 1,100. "
        "9 waits: the token budget is spent, most of it on 7."
    )
