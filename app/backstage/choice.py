"""What the visitor chose, and the parameters of a link that say so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from backstage.parameters import on_off, one_of, whole
from minillm.config import PREEMPTIONS
from minillm.kv_cache.memories import MEMORIES
from minillm.live import FULL_SPEED
from minillm.messages import DEFAULT, say
from minillm.scheduling.systems import SYSTEMS
from minillm.workload.saved import MOST_TITLE, SavedError, from_link, to_link
from minillm.workload.scenes import SCENES, Scene, get_scene
from minillm.workload.spec import RequestSpec

PACES = (2.0, 8.0, 32.0, FULL_SPEED)  # steps per second
FIRST_SCENE = "long-prompt"

_OVERRIDES = ("max_num_batched_tokens", "max_num_seqs", "enable_prefix_caching")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The settings of the Live page. None means: as the scene (or else the engine) has it.

    Field names are the parameters of the page's link. `requests` are drawn by the visitor, given
    by their lengths, and `title` is what they are called.
    """

    scene: str = FIRST_SCENE
    scheduler: str = SCENES[FIRST_SCENE].scheduler
    memory: str = SCENES[FIRST_SCENE].memory
    preemption: str = PREEMPTIONS[0]
    seed: int = 0
    model: str = "pocket"
    block_size: int | None = None
    num_blocks: int | None = None
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    enable_prefix_caching: bool | None = None
    pace: float = 8.0
    requests: tuple[RequestSpec, ...] | None = None
    title: str | None = None

    @property
    def the_scene(self) -> Scene:
        return get_scene(self.scene)

    def engine_settings(self) -> dict[str, Any]:
        """Engine settings: the scene's, and over them what was chosen here."""
        settings = self.the_scene.settings_for(
            self.scheduler, self.memory, block_size=self.block_size, num_blocks=self.num_blocks
        )
        chosen = {name: getattr(self, name) for name in _OVERRIDES}
        settings.update({name: value for name, value in chosen.items() if value is not None})
        return {**settings, "preemption": self.preemption, "seed": self.seed}


PARAMETERS = tuple(field.name for field in fields(Choice))


def in_scene(name: str) -> Choice:
    """The choice that a scene starts with."""
    scene = get_scene(name)
    return Choice(scene=name, scheduler=scene.scheduler, memory=scene.memory)


def to_query(choice: Choice) -> dict[str, str]:
    """Parameters of a link that opens the page with `choice`; only what differs from the scene's
    own start, besides the scene."""
    start = in_scene(choice.scene)
    query = {"scene": choice.scene}
    for field in fields(Choice):
        value = getattr(choice, field.name)
        if field.name != "scene" and value != getattr(start, field.name):
            try:
                query[field.name] = _write(value)
            except SavedError:  # too many for a link: the editor says so
                continue
    return query


def from_query(query: Mapping[str, str], language: str = DEFAULT) -> tuple[Choice, list[str]]:
    """The choice that parameters of a link ask for, and a sentence for each that cannot be
    followed. They are among PARAMETERS."""
    problems: list[str] = []
    name = query.get("scene", FIRST_SCENE)
    choice = in_scene(name if name in SCENES else FIRST_SCENE)
    for key, text in query.items():
        try:
            choice = replace(choice, **{key: _read(language, key, text)})
        except ValueError as why:
            problems.append(say(language, "app.link_bad", name=key, text=text[:40], why=why))
    return choice, problems


def _write(value: Any) -> str:
    if isinstance(value, tuple):
        return to_link(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return "full" if value == FULL_SPEED else f"{value:g}"
    return str(value)


def _read(language: str, key: str, text: str) -> Any:
    """The value of one parameter; ValueError says what it may be."""
    if key in _NAMES:
        return one_of(language, text, _NAMES[key])
    if key == "model":
        if not text.strip():
            raise ValueError(say(language, "app.link_model"))
        return text
    if key == "requests":
        return _requests(language, text)
    if key == "title":
        if not (0 < len(text) <= MOST_TITLE and text.isprintable()):
            raise ValueError(say(language, "saved.title", most=MOST_TITLE))
        return text
    if key == "enable_prefix_caching":
        return on_off(language, text)
    if key == "pace":
        paces = {_write(pace): pace for pace in PACES}
        return paces[one_of(language, text, paces)]
    return whole(language, text, 0 if key == "seed" else 1)


def _requests(language: str, text: str) -> tuple[RequestSpec, ...]:
    try:
        return from_link(text)
    except SavedError as error:
        raise ValueError(error.told(language)) from None


_NAMES: Mapping[str, Collection[str]] = {
    "scene": SCENES,
    "scheduler": SYSTEMS,
    "memory": MEMORIES,
    "preemption": PREEMPTIONS,
}
