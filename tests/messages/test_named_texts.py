"""What has a name in minillm has its words in the catalogues, and nothing else has."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from minillm.kv_cache.memories import MEMORIES
from minillm.messages import catalogue, translated
from minillm.scheduling.systems import SYSTEMS
from minillm.workload.scenes import SCENES, WORDS


@pytest.mark.parametrize(
    ("part", "names", "words"),
    [
        ("scenes", SCENES, WORDS),
        ("systems", SYSTEMS, ("source", "about")),
        ("memories", MEMORIES, ("source", "about")),
    ],
)
def test_each_has_its_words(part: str, names: Iterable[str], words: Iterable[str]) -> None:
    there = {key for key in catalogue("en") if key.startswith(f"{part}.")}
    assert there == {f"{part}.{name}.{word}" for name in names for word in words}


def test_only_minillms_own_words_are_translated() -> None:
    scene = SCENES["memory"]
    key = "scenes.memory.title"
    assert scene.title == "Memory runs out"
    assert translated("zh", scene.title, key) == "内存耗尽"
    assert translated("en", scene.title, key) == scene.title
    assert translated("zh", "A title of my own", key) == "A title of my own"
    assert translated("zh", "Memory runs out", "scenes.my-own.title") == "Memory runs out"
