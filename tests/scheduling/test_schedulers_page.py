"""docs/schedulers.md says what is there, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from timed_engine import Job, play, timed_engine

from minillm.events import WaitReason
from minillm.scheduling import SYSTEMS

PAGE = (Path(__file__).parents[2] / "docs" / "schedulers.md").read_text(encoding="utf-8")


def test_the_table_has_every_system_in_order() -> None:
    table = PAGE.split("## The systems")[1].split("\n\n")[1]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(SYSTEMS)


def test_the_reasons_are_those_of_the_systems() -> None:
    def give(reason: WaitReason) -> set[str]:
        return {name for name, system in SYSTEMS.items() if reason in system.reasons}

    def row(reason: WaitReason) -> set[str]:
        line = next(x for x in PAGE.splitlines() if x.startswith(f"| `{reason}`"))
        names = set(re.findall(r"`(\w+)`", line)) & set(SYSTEMS)
        return set(SYSTEMS) - names if "all but" in line else names

    assert row(WaitReason.BATCH_NOT_FINISHED) == give(WaitReason.BATCH_NOT_FINISHED)
    assert row(WaitReason.LOWER_PRIORITY) == give(WaitReason.LOWER_PRIORITY)
    assert row(WaitReason.PREEMPTED) == give(WaitReason.PREEMPTED)
    lightllm = {name for name in SYSTEMS if name.startswith("lightllm")}
    shown = row(WaitReason.PREFILL_IN_PROGRESS) | lightllm
    assert shown == give(WaitReason.PREFILL_IN_PROGRESS)
    for reason in ("max_num_seqs", "token_budget", "no_kv_blocks", "head_of_line"):
        assert give(WaitReason(reason)) == set(SYSTEMS)


def run_example(section: str) -> dict[str, Any]:
    """The names that the example of this section defines."""
    text = PAGE.split(f"## {section}")[1].split("\n## ")[0]
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, "schedulers.md", "exec"), names)
    return names


def test_the_example_learns_which_stories_are_short() -> None:
    requests = run_example("Who predicts")["llm"].trace.requests
    ends = {request.prompt: request.finished_at for request in requests}
    short, long = ([ends[text] for text in ends if kind in text] for kind in ("short", "long"))
    assert len(short) == len(long) == 2
    assert max(short) < min(long)


def test_the_example_serves_paying_clients_first() -> None:
    names = run_example("One of your own")
    engine = timed_engine(names["policy"], max_num_seqs=1)
    jobs = [Job(0.0, 5, 30, "free"), Job(0.001, 5, 100, "paying"), Job(0.002, 5, 3, "free")]
    free, paying, last = play(engine, jobs)
    assert free > 0.8 > last  # it was overtaken; after fifty steps the others had their turn
    assert 1 < paying < 1.35


def test_files_named_exist() -> None:
    root = Path(__file__).parents[2]
    for name in re.findall(r"`(\w+\.py)`", PAGE):
        assert (root / "minillm" / "scheduling" / name).exists(), name
