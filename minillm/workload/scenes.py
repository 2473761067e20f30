"""The scenes: small seeded workloads, each with a title and the question it asks, which are in the
catalogues (minillm/messages/*/scenes.json).

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
from minillm.messages import DEFAULT, say
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

WORDS = ("title", "question", "look_for")
"""What there is in words of a scene. `messages.translated(language, scene.title,
f"scenes.{scene.name}.title")` gives it in another language; so does it for what a recording of a
scene has in its header."""

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


def _scene(*, name: str, **parts: Any) -> Scene:
    """A scene whose words are in the catalogue."""
    words = {what: say(DEFAULT, f"scenes.{name}.{what}") for what in WORDS}
    return Scene(name=name, **words, **parts)


_ALL = (
    _scene(
        name="long-prompt",
        scheduler="vllm",
        try_next="sarathi",
        build=_one_long_ten_short,
        settings={"block_size": 16, "num_blocks": 192, "max_num_seqs": 16},
        whole=1662,  # the long prompt, and next to nothing beside it
        chunked=128,
    ),
    _scene(
        name="memory",
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
    _scene(
        name="shared-prompt",
        scheduler="sarathi",
        try_next="vllm",
        build=_shared_system_prompt,
        settings={"block_size": 16, "num_blocks": 96, "max_num_seqs": 8},
        chunked=128,
    ),
    _scene(
        name="static",
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
    _scene(
        name="feedback",
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
    _scene(
        name="starving",
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
    _scene(
        name="two-tenants",
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
    _scene(
        name="three-memories",
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
    _scene(
        name="predicted-peak",
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
