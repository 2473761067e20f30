"""What is chosen, and the link that says so."""

from __future__ import annotations

import pytest
from backstage.choice import PACES, Choice, from_query, in_scene, to_query
from hypothesis import given
from hypothesis import strategies as st

from minillm.config import PREEMPTIONS
from minillm.kv_cache.memories import MEMORIES
from minillm.scheduling.systems import SYSTEMS
from minillm.workload.scenes import SCENES

counts = st.none() | st.integers(1, 1 << 20)
choices = st.builds(
    Choice,
    scene=st.sampled_from(list(SCENES)),
    scheduler=st.sampled_from(list(SYSTEMS)),
    memory=st.sampled_from(list(MEMORIES)),
    preemption=st.sampled_from(PREEMPTIONS),
    seed=st.integers(0, 1000),
    model=st.sampled_from(["pocket", "/a folder/ä", "Qwen/Qwen3-0.6B"]),
    block_size=counts,
    num_blocks=counts,
    max_num_batched_tokens=counts,
    max_num_seqs=counts,
    enable_prefix_caching=st.none() | st.booleans(),
    pace=st.sampled_from(PACES),
)


@given(choices)
def test_a_link_brings_back_the_choice(choice: Choice) -> None:
    assert from_query(to_query(choice)) == (choice, [])


def test_a_link_holds_only_what_differs_from_the_scene() -> None:
    assert to_query(in_scene("memory")) == {"scene": "memory"}
    assert from_query({"scene": "memory", "scheduler": "orca", "seed": "3"}) == (
        Choice(scene="memory", scheduler="orca", seed=3),
        [],
    )
    assert from_query({}) == (Choice(), [])


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"scene": "memroy"}, "Did you mean memory?"),
        ({"scheduler": "sarati"}, "Did you mean sarathi?"),
        ({"memory": "pagd"}, "Did you mean paged?"),
        ({"preemption": "magic"}, "Known: recompute, swap."),
        ({"num_blocks": "0"}, "whole number from 1"),
        ({"num_blocks": "-3"}, "whole number from 1"),
        ({"num_blocks": "²"}, "whole number from 1"),
        ({"num_blocks": "9" * 5000}, "whole number from 1"),
        ({"seed": "x"}, "whole number from 0"),
        ({"pace": "3"}, "2, 8, 32, full"),
        ({"enable_prefix_caching": "yes"}, "on or off"),
        ({"model": " "}, "pocket"),
    ],
)
def test_what_cannot_be_followed_is_said_and_left_out(query: dict[str, str], said: str) -> None:
    choice, problems = from_query({"seed": "7", **query})
    assert len(problems) == 1
    assert said in problems[0]
    assert choice == Choice(seed=0 if "seed" in query else 7)


def test_what_is_chosen_goes_before_what_the_scene_has() -> None:
    scene = SCENES["memory"]
    given = Choice(scene="memory", scheduler="sarathi").engine_settings()
    assert given == {**scene.settings_for("sarathi"), "preemption": "recompute", "seed": 0}
    chosen = Choice(scene="memory", scheduler="vllm", num_blocks=9, enable_prefix_caching=True)
    settings = chosen.engine_settings()
    assert settings["num_blocks"] == 9
    assert settings["enable_prefix_caching"] is True
    assert settings["block_size"] == scene.settings["block_size"]


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_pool_chosen_in_blocks_has_as_many_slots_in_every_memory(memory: str) -> None:
    chosen = Choice(scene="memory", memory=memory, num_blocks=40, block_size=8).engine_settings()
    assert chosen.get("block_size", 1) * chosen["num_blocks"] == 320
