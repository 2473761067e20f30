"""The scenes: small seeded workloads, each with a title and the question it asks.

A scene fixes everything that its point depends on, the size of the KV pool above all, and starts
with the scheduler that shows the problem. `try_next` names the one that answers it. The prompts
are written for the pocket model.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from minillm.config import ConfigError, closest
from minillm.kv_cache.memories import get_memory
from minillm.pocket.prompts import (
    Prompt,
    fact_question,
    long_document_question,
    story_request,
    system_prompt,
)
from minillm.request import SamplingParams
from minillm.scheduling import make_scheduler
from minillm.workload.spec import RequestSpec

Build = Callable[[random.Random], list[RequestSpec]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A curated demo. `settings` are engine settings for paged memory; `whole` and `chunked` are
    token budgets for schedulers that compute prompts whole or in chunks (None: the engine's
    default). `try_next` and `next_memory` (None: the same) are what answers the question."""

    name: str
    title: str
    question: str
    look_for: str
    scheduler: str
    try_next: str
    build: Build
    memory: str = "paged"
    next_memory: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    whole: int | None = None
    chunked: int | None = None

    def workload(self, seed: int = 0) -> list[RequestSpec]:
        """The requests of this scene; the same seed gives the same requests."""
        return self.build(random.Random(seed))

    @property
    def ways(self) -> tuple[tuple[str, str], ...]:
        """The problem and what answers it, as (scheduler, memory)."""
        return (self.scheduler, self.memory), (self.try_next, self.next_memory or self.memory)

    def settings_for(
        self,
        scheduler: str,
        memory: str | None = None,
        *,
        block_size: int | None = None,
        num_blocks: int | None = None,
    ) -> dict[str, Any]:
        """Engine settings of this scene under `scheduler`, with `memory` (None: its own).
        `block_size` (tokens) and `num_blocks`, in place of the scene's, are those of paged memory:
        every other memory gets as many slots."""
        budget = self.chunked if make_scheduler(scheduler).chunked else self.whole
        settings = {**self.settings, "max_num_batched_tokens": budget}
        pool = {"block_size": block_size, "num_blocks": num_blocks}
        settings |= {name: value for name, value in pool.items() if value is not None}
        return get_memory(memory or self.memory).adapt(settings)

    def recording(self, scheduler: str, memory: str) -> str:
        """What a bundled recording of this scene is called."""
        return "-".join((self.name, scheduler, *([memory] if memory != "paged" else [])))


# Stories are sampled, so that no two are alike; the same seed still tells the same ones.
_SAMPLED = SamplingParams(temperature=0.8, top_p=0.95)
_GREEDY = SamplingParams(temperature=0)


def _request(
    prompt: Prompt, at_ms: float, max_tokens: int, client: str | None = None
) -> RequestSpec:
    return RequestSpec(
        arrival_time=at_ms / 1e3,
        prompt=prompt.messages,
        max_tokens=max_tokens,
        client=client,
        sampling=_SAMPLED if prompt.kind.startswith("story") else _GREEDY,
    )


def _one_long_ten_short(rng: random.Random) -> list[RequestSpec]:
    first = [_request(story_request(rng, "medium"), 2.0 * i, 160) for i in range(6)]
    long = _request(long_document_question(rng, 1650), 60, 40)
    last = [_request(story_request(rng, "short"), 60.1 + 0.1 * i, 80) for i in range(4)]
    return [*first, long, *last]


def _memory_runs_out(rng: random.Random) -> list[RequestSpec]:
    lengths = ("long", "medium", "long", "medium", "long", "short", "long", "medium")
    return [_request(story_request(rng, kind), 3.0 * i, 360) for i, kind in enumerate(lengths)]


def _shared_system_prompt(rng: random.Random) -> list[RequestSpec]:
    shared = system_prompt(rng, 420)
    return [_request(shared.question(rng), 0 if i == 0 else 120 + 4.0 * i, 40) for i in range(8)]


def _static_or_continuous(rng: random.Random) -> list[RequestSpec]:
    lengths = ("short", "long", "short", "short", "medium", "short", "long", "short")
    stories = [_request(story_request(rng, kind), 2.0 * i, 360) for i, kind in enumerate(lengths)]
    facts = [_request(fact_question(rng, 4, 120), 40 + 2.0 * i, 40) for i in range(4)]
    return [*stories, *facts]


def _short_behind_long(rng: random.Random) -> list[RequestSpec]:
    stories = [_request(story_request(rng, "long"), 1.0 * i, 320) for i in range(4)]
    facts = [_request(fact_question(rng, 4, 100), 150 + 3.0 * i, 24) for i in range(8)]
    return [*stories, *facts]


def _one_long_among_short(rng: random.Random) -> list[RequestSpec]:
    first = [_request(story_request(rng, "short"), 0.5 * i, 60) for i in range(2)]
    long = _request(story_request(rng, "long"), 2, 320)
    others = [_request(story_request(rng, "short"), 3 + 10.0 * i, 60) for i in range(14)]
    return [*first, long, *others]


def _two_tenants(rng: random.Random) -> list[RequestSpec]:
    greedy = [_request(story_request(rng, "medium"), 1.0 * i, 130, "greedy") for i in range(10)]
    modest = [
        _request(story_request(rng, "medium"), 30 + 150.0 * i, 130, "modest") for i in range(3)
    ]
    return [*greedy, *modest]


def _three_ways(rng: random.Random) -> list[RequestSpec]:
    lengths = ("short", "medium", "short", "long", "short", "medium", "short", "medium")
    return [_request(story_request(rng, kind), 2.0 * i, 320) for i, kind in enumerate(lengths)]


def _answers_of_a_kind(rng: random.Random) -> list[RequestSpec]:
    lengths = ("medium", "short", "medium", "long") * 5
    return [_request(story_request(rng, kind), 10.0 * i, 320) for i, kind in enumerate(lengths)]


_ALL = (
    Scene(
        name="long-prompt",
        title="One long prompt, ten short",
        question="Six answers are being written when a very long prompt arrives, and four more "
        "short ones behind it. Who has to wait, and for how long?",
        look_for="With vllm the step that reads the long prompt reads nothing else: six answers "
        "stop in mid-sentence, four do not begin. Every lane has the same gap.",
        scheduler="vllm",
        try_next="sarathi",
        build=_one_long_ten_short,
        settings={"block_size": 16, "num_blocks": 192, "max_num_seqs": 16},
        whole=1662,  # the long prompt, and next to nothing beside it
        chunked=128,
    ),
    Scene(
        name="memory",
        title="Memory runs out",
        question="Eight stories grow, and the KV pool is too small for all of them. Who gives "
        "way, and what does it cost?",
        look_for="When the last block is taken the youngest is preempted: its blocks return, and "
        "its prompt and every word it had written must be computed again.",
        scheduler="vllm",
        try_next="orca",
        build=_memory_runs_out,
        settings={
            "block_size": 16,
            "num_blocks": 48,
            "max_num_seqs": 8,
            "enable_prefix_caching": False,
        },
        chunked=128,
    ),
    Scene(
        name="shared-prompt",
        title="A shared system prompt",
        question="Eight questions begin with the same 400 tokens. How often are they computed?",
        look_for="Once. The first request fills the blocks; the others find them by content and "
        "share them (two-toned blocks). Turn prefix caching off and compare.",
        scheduler="sarathi",
        try_next="vllm",
        build=_shared_system_prompt,
        settings={"block_size": 16, "num_blocks": 96, "max_num_seqs": 8},
        chunked=128,
    ),
    Scene(
        name="static",
        title="Static against continuous",
        question="Twelve requests, four slots, answers from ten to three hundred tokens. What "
        "does it cost to wait for the longest?",
        look_for="With static a slot whose answer has ended stays empty until the whole batch is "
        "done, while others wait. With orca the next request takes it at once.",
        scheduler="static",
        try_next="orca",
        build=_static_or_continuous,
        settings={
            "block_size": 16,
            "num_blocks": 128,
            "max_num_seqs": 4,
            "enable_prefix_caching": False,
        },
        chunked=128,
    ),
    Scene(
        name="feedback",
        title="MLFQ rescues the short",
        question="Four long stories hold the four places when eight quick questions arrive. "
        "Nobody knows how long an answer will be. Must the quick ones wait?",
        look_for="First come, first served keeps the four lanes busy with stories while the "
        "questions queue. With mlfq a newcomer starts in the highest queue and takes a place at "
        "once; the stories, which have used up their time there, pause and keep their blocks.",
        scheduler="sarathi",
        try_next="mlfq",
        build=_short_behind_long,
        settings={
            "block_size": 16,
            "num_blocks": 192,
            "max_num_seqs": 4,
            "enable_prefix_caching": False,
        },
        chunked=128,
    ),
    Scene(
        name="starving",
        title="Shortest first and the starving long one",
        question="Short answers keep coming, and the shortest goes first. When is it the long "
        "one's turn?",
        look_for="With sjf the long story waits at the head of the queue while every short one "
        "that comes later passes it. ltr orders by length, too, but who was passed over in a "
        "hundred steps goes first.",
        scheduler="sjf",
        try_next="ltr",
        build=_one_long_among_short,
        settings={
            "block_size": 16,
            "num_blocks": 128,
            "max_num_seqs": 2,
            "enable_prefix_caching": False,
        },
        chunked=128,
    ),
    Scene(
        name="two-tenants",
        title="Two tenants, one greedy",
        question="One client sends ten requests at once, the other three, one after the other. "
        "Who is served?",
        look_for="First come, first served: the modest client waits behind all that the greedy "
        "one has sent. vtc counts the tokens each has been served and admits who has had less.",
        scheduler="vllm",
        try_next="vtc",
        build=_two_tenants,
        settings={
            "block_size": 16,
            "num_blocks": 64,
            "max_num_seqs": 3,
            "enable_prefix_caching": False,
        },
        chunked=128,
    ),
    Scene(
        name="three-memories",
        title="Three ways to hold the KV cache",
        question="Eight requests, 1,280 slots of KV memory. How many can run at once, if nobody "
        "knows how long an answer will be?",
        look_for="In contiguous memory each request holds a run for the longest answer allowed: "
        "two at a time, and nearly all of their blocks stay empty. Paged, all eight run. Choose "
        "token, too: then not even the last block is held in vain.",
        scheduler="vllm",
        try_next="vllm",
        memory="contiguous-max",
        next_memory="paged",
        build=_three_ways,
        settings={
            "block_size": 16,
            "num_blocks": 80,
            "max_num_seqs": 8,
            "enable_prefix_caching": False,
        },
        chunked=128,
    ),
    Scene(
        name="predicted-peak",
        title="Predicted peak",
        question="Memory is full of answers that are still growing. Whom can one admit without "
        "having to take it back?",
        look_for="The aggressive policy admits whoever fits now, and then evicts the newest, again "
        "and again. lightllm draws from the lengths of past answers how much everyone will need "
        "at the peak, and lets wait those who would not fit then.",
        scheduler="lightllm_aggressive",
        try_next="lightllm",
        build=_answers_of_a_kind,
        settings={
            "block_size": 16,
            "num_blocks": 40,
            "max_num_seqs": 12,
            "enable_prefix_caching": False,
        },
        chunked=128,
    ),
)

SCENES: dict[str, Scene] = {scene.name: scene for scene in _ALL}


def get_scene(name: str) -> Scene:
    """The scene called `name`; an unknown name is a ConfigError that lists those there are."""
    if name not in SCENES:
        raise ConfigError(
            f"unknown scene {name!r}.{closest(name, SCENES)} Known: {', '.join(SCENES)}."
        )
    return SCENES[name]
